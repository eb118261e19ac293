"""Writes packages op by op, so that one kernel or one fault can be tested without a converter."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.runtimes.base import Array
from agecompact.runtimes.coreml import MODEL_FILE, model_proto, read_specification
from agecompact.runtimes.mil.dtypes import BY_NAME, DType

NAMES = {
    "float32": "fp32",
    "float16": "fp16",
    "int32": "int32",
    "int8": "int8",
    "uint8": "uint8",
    "bool": "bool",
}
_FEATURE = {"fp32": 65568, "fp16": 65552, "int32": 131104}

Size = int | None


@dataclass(frozen=True)
class Value:
    """A value of the program under construction."""

    name: str
    dtype: str
    shape: tuple[Size, ...]


class Author:
    """A program under construction.

    Args:
        opset: Of its ops.
    """

    def __init__(self, opset: str = "CoreML6") -> None:
        self.specification: Any = model_proto().Model()
        self.specification.specificationVersion = 7
        self.main = self.specification.mlProgram.functions["main"]
        self.main.opset = opset
        self.block = self.main.block_specializations[opset]
        self.blobs = bytearray(struct.pack("<II", 0, 2).ljust(64, b"\0"))
        self._count = 0

    def input(self, name: str, shape: Sequence[Size], dtype: str = "fp32") -> Value:
        """Adds an input."""
        value = Value(name, dtype, tuple(shape))
        named = self.main.inputs.add()
        named.name = name
        _fill_type(named.type, value)
        feature = self.specification.description.input.add()
        feature.name = name
        feature.type.multiArrayType.dataType = _FEATURE[dtype]
        feature.type.multiArrayType.shape.extend(size or 1 for size in shape)
        return value

    def constant(self, value: Any, name: str | None = None, *, blob: bool = False) -> Value:
        """Adds a constant: a text, or what NumPy makes an array of."""
        op = self.block.operations.add()
        op.type = "const"
        told = self._fill_value(op.attributes["val"], value, blob=blob)
        return self._write(op, Value(name or self._fresh("const"), told.dtype, told.shape))

    def op(
        self,
        kind: str,
        dtype: str,
        shape: Sequence[Size],
        name: str | None = None,
        /,
        **parameters: Any,
    ) -> Value:
        """Adds an op of one output; parameters are values, lists of them, or constants."""
        bound = {
            parameter: [v if isinstance(v, Value) else self.constant(v) for v in _listed(given)]
            for parameter, given in parameters.items()
        }
        op = self.block.operations.add()
        op.type = kind
        for parameter, values in bound.items():
            for value in values:
                op.inputs[parameter].arguments.add().name = value.name
        return self._write(op, Value(name or self._fresh(kind), dtype, tuple(shape)))

    def output(self, *values: Value) -> None:
        """Says what the program gives."""
        for value in values:
            self.block.outputs.append(value.name)
            feature = self.specification.description.output.add()
            feature.name = value.name
            feature.type.multiArrayType.dataType = _FEATURE.get(value.dtype, 65568)

    def save(self, path: Path) -> Path:
        """Writes the package."""
        model = path / MODEL_FILE
        (model.parent / "weights").mkdir(parents=True)
        model.write_bytes(self.specification.SerializeToString())
        (model.parent / "weights" / "weight.bin").write_bytes(bytes(self.blobs))
        items = {"a": {"path": "com.apple.CoreML/model.mlmodel"}}
        manifest = {"itemInfoEntries": items, "rootModelIdentifier": "a"}
        (path / "Manifest.json").write_text(json.dumps(manifest))
        return path

    def add_blob(self, content: bytes, dtype: DType, padding_bits: int = 0) -> int:
        """Appends a blob; returns the offset of its record."""
        self.blobs.extend(b"\0" * (-len(self.blobs) % 64))
        offset = len(self.blobs)
        code = dtype.blob or 0
        record = struct.pack(
            "<IIQQQ", 0xDEADBEEF, code, len(content), offset + 64, padding_bits
        ).ljust(64, b"\0")
        self.blobs.extend(record + content)
        return offset

    def _fill_value(self, place: Any, value: Any, *, blob: bool) -> Value:
        if isinstance(value, str):
            told = Value("", "string", ())
            _fill_type(place.type, told)
            place.immediateValue.tensor.strings.values.append(value)
            return told
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if array.dtype == np.int64:
            array = array.astype(np.int32)
        told = Value("", NAMES[array.dtype.name], array.shape)
        _fill_type(place.type, told)
        tensor = place.immediateValue.tensor
        if blob:
            place.blobFileValue.fileName = "@model_path/weights/weight.bin"
            place.blobFileValue.offset = self.add_blob(array.tobytes(), BY_NAME[told.dtype])
        elif told.dtype == "fp32":
            tensor.floats.values.extend(array.reshape(-1).tolist())
        elif told.dtype == "int32":
            tensor.ints.values.extend(array.reshape(-1).tolist())
        elif told.dtype == "bool":
            tensor.bools.values.extend(array.reshape(-1).tolist())
        else:
            tensor.bytes.values = array.tobytes()
        return told

    def _write(self, op: Any, value: Value) -> Value:
        named = op.outputs.add()
        named.name = value.name
        _fill_type(named.type, value)
        self._fill_value(op.attributes["name"], value.name, blob=False)
        return value

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def _listed(given: Any) -> list[Any]:
    if isinstance(given, list) and given and isinstance(given[0], Value):
        return given
    return [given]


def _fill_type(place: Any, value: Value) -> None:
    tensor = place.tensorType
    tensor.dataType = BY_NAME[value.dtype].number
    tensor.rank = len(value.shape)
    for size in value.shape:
        dimension = tensor.dimensions.add()
        if size is None:
            dimension.unknown.variadic = False
        else:
            dimension.constant.size = size


def edited(package: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a package, its protobuf changed."""
    copy = folder / "edited.mlpackage"
    shutil.copytree(package, copy)
    specification = read_specification(str(copy))
    change(specification)
    (copy / MODEL_FILE).write_bytes(specification.SerializeToString())
    return copy


def operations(specification: Any) -> Any:
    """The ops of a `Model` message."""
    main = specification.mlProgram.functions["main"]
    return main.block_specializations[main.opset].operations


def mil_proto() -> Any:
    """The protobuf module of MIL."""
    return sys.modules[model_proto().__name__.replace("Model_pb2", "MIL_pb2")]


def ramp(*shape: int) -> Array:
    """0, 1, 2, ... as float32."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
