"""Writes packages op by op, to test one kernel or one fault without a converter."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.runtimes import mil
from agecompact.runtimes.base import Array, Session
from agecompact.runtimes.coreml import MODEL_FILE, model_proto
from agecompact.runtimes.mil.tensor_types import BY_NAME, DType
from tests.parity_tests.editing import mil_block
from tests.weight_blobs import WEIGHT_FILE

# MIL's names of element types by NumPy's.
NAMES = {dtype.numpy.name: dtype.name for dtype in BY_NAME.values() if dtype.bits >= 8}
# NumPy's default types are too wide.
_NARROWED = {"float64": np.float32, "int64": np.int32}
# The fields of immediate values that have one; the others are packed bytes.
_FIELDS = {"fp32": "floats", "int32": "ints", "bool": "bools"}

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
        self.specification.specificationVersion = int(opset.removeprefix("CoreML")) + 1
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
        feature.type.multiArrayType.SetInParent()
        return value

    def constant(self, value: Any, name: str | None = None, *, blob: bool = False) -> Value:
        """Adds a constant: a string, or a value that NumPy makes an array of."""
        op = self.block.operations.add()
        op.type = "const"
        dtype, shape = self._fill_value(op.attributes["val"], value, blob=blob)
        return self._write(op, Value(name or self._fresh("const"), dtype, shape))

    def op(
        self,
        kind: str,
        dtype: str,
        shape: Sequence[Size],
        name: str | None = None,
        /,
        **parameters: Any,
    ) -> Value:
        """Adds an op with one output. Parameters are values, lists of them, or constants."""
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
        """Adds outputs of the program."""
        for value in values:
            self.block.outputs.append(value.name)
            feature = self.specification.description.output.add()
            feature.name = value.name
            feature.type.multiArrayType.SetInParent()

    def save(self, path: Path) -> Path:
        """Writes the package."""
        (path / WEIGHT_FILE).parent.mkdir(parents=True)
        (path / MODEL_FILE).write_bytes(self.specification.SerializeToString())
        (path / WEIGHT_FILE).write_bytes(bytes(self.blobs))
        items = {"a": {"path": "com.apple.CoreML/model.mlmodel"}}
        manifest = {"itemInfoEntries": items, "rootModelIdentifier": "a"}
        (path / "Manifest.json").write_text(json.dumps(manifest))
        return path

    def open(self, folder: Path) -> Session:
        """Writes the package into a folder and loads it."""
        return mil.MIL.open_session(str(self.save(folder / "a.mlpackage")), 1)

    def add_blob(self, content: bytes, dtype: DType, padding_bits: int = 0) -> int:
        """Appends a blob; returns the offset of its record."""
        self.blobs.extend(b"\0" * (-len(self.blobs) % 64))
        offset = len(self.blobs)
        fields = (0xDEADBEEF, dtype.blob or 0, len(content), offset + 64, padding_bits)
        self.blobs.extend(struct.pack("<IIQQQ", *fields).ljust(64, b"\0") + content)
        return offset

    def _fill_value(self, place: Any, value: Any, *, blob: bool) -> tuple[str, tuple[int, ...]]:
        """Writes a constant; returns its type."""
        tensor = place.immediateValue.tensor
        if isinstance(value, str):
            _fill_type(place.type, Value("", "string", ()))
            tensor.strings.values.append(value)
            return "string", ()
        array = np.asarray(value)
        array = array.astype(_NARROWED.get(array.dtype.name, array.dtype))
        dtype = NAMES[array.dtype.name]
        _fill_type(place.type, Value("", dtype, array.shape))
        if blob:
            place.blobFileValue.fileName = "@model_path/weights/weight.bin"
            place.blobFileValue.offset = self.add_blob(array.tobytes(), BY_NAME[dtype])
        elif dtype in _FIELDS:
            getattr(tensor, _FIELDS[dtype]).values.extend(array.reshape(-1).tolist())
        else:
            tensor.bytes.values = array.tobytes()
        return dtype, array.shape

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


def ops_of(specification: Any, kind: str) -> list[Any]:
    """The ops of a type in a `Model` message."""
    return [op for op in mil_block(specification).operations if op.type == kind]


def ramp(*shape: int) -> Array:
    """0, 1, 2, ... as float32."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
