"""Tiny model files as other tools make them: any dtype, layout and batch, several outputs.

Each computes, for every output, a weighted sum of an image's mean colours. Nothing of agecompact is
in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
# A scale and a zero point.
Scale = tuple[float, int]


@dataclass(frozen=True)
class Head:
    """An output: `weights`, a row for each value, times the mean colours, plus a shift.

    Attributes:
        weights: `(values, 3)`.
        shift: Is added to each value.
        scale: How it is quantised, as int8; None if it is not.
    """

    weights: Sequence[Sequence[float]] = ((20.0, 35.0, 15.0),)
    shift: float = 10.0
    scale: Scale | None = None


@dataclass(frozen=True)
class Network:
    """What to write.

    Attributes:
        heads: By output name.
        dtype: Of the input; other dtypes than float32 are cast, or dequantised, by the graph.
        scale: How the input is quantised; None if it is not.
        batch: Size of the batch; None for any.
        side: Height and width; None for any.
        channels_last: Whether the input is NHWC.
        input: Name of the input.
    """

    heads: Mapping[str, Head] = field(default_factory=lambda: {"age": Head()})
    dtype: str = "float32"
    scale: Scale | None = None
    batch: int | None = 1
    side: int | None = SIDE
    channels_last: bool = False
    input: str = "image"

    def shape(self, unknown: Any) -> list[Any]:
        """Shape of the input, with a value for the sides of any size."""
        batch = unknown if self.batch is None else self.batch
        side = unknown if self.side is None else self.side
        return [batch, side, side, 3] if self.channels_last else [batch, 3, side, side]


def write_onnx(path: Path, network: Network, *, ir_version: int = 9) -> Path:
    """Writes an ONNX file."""
    constants: dict[str, Any] = {"axes": np.array([1, 2] if network.channels_last else [2, 3])}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(network.dtype))
    nodes = []
    read = network.input
    if network.scale:
        constants |= _stored("input", network.scale, network.dtype)
        nodes.append(helper.make_node("DequantizeLinear", [read, "input s", "input z"], ["real"]))
        read = "real"
    elif network.dtype != "float32":
        nodes.append(helper.make_node("Cast", [read], ["real"], to=TensorProto.FLOAT))
        read = "real"
    nodes.append(helper.make_node("ReduceMean", [read, "axes"], ["means"], keepdims=0))
    outputs = []
    for name, head in network.heads.items():
        constants[f"{name} w"] = np.asarray(head.weights, np.float32).T
        constants[f"{name} b"] = np.float32(head.shift)
        nodes.append(helper.make_node("MatMul", ["means", f"{name} w"], [f"{name} sum"]))
        wrote = name if network.dtype != "float16" and not head.scale else f"{name} real"
        nodes.append(helper.make_node("Add", [f"{name} sum", f"{name} b"], [wrote]))
        made = TensorProto.FLOAT
        if head.scale:
            made = TensorProto.INT8
            constants |= _stored(name, head.scale, "int8")
            ends = [wrote, f"{name} s", f"{name} z"]
            nodes.append(helper.make_node("QuantizeLinear", ends, [name]))
        elif network.dtype == "float16":
            made = TensorProto.FLOAT16
            nodes.append(helper.make_node("Cast", [wrote], [name], to=made))
        shape = ["N" if network.batch is None else network.batch, len(head.weights)]
        outputs.append(helper.make_tensor_value_info(name, made, shape))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(network.input, kind, network.shape("N"))],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version), path)
    return path


def _stored(name: str, scale: Scale, dtype: str) -> dict[str, Any]:
    return {f"{name} s": np.float32(scale[0]), f"{name} z": np.array(scale[1], dtype)}


def write_tflite(path: Path, network: Network, *, signature: bool = False) -> Path:
    """Writes a TFLite file, channels last.

    Args:
        path: The file.
        network: What to write.
        signature: Whether it has a signature, as converters write it: it names the tensors, whose
            own names are others.
    """
    import flatbuffers

    writer = _Tflite()
    sides = network.shape(-1)
    read = writer.tensor(network.input, sides, network.dtype, scale=network.scale)
    inputs = [read]
    if network.dtype != "float32":
        real = writer.tensor("real", sides, "float32")
        writer.op("DEQUANTIZE", [read], [real], "DequantizeOptions")
        read = real
    batch = sides[0]
    means = writer.tensor("means", [batch, 3], "float32")
    axes = writer.tensor("axes", [2], "int32", np.array([1, 2], np.int32))
    writer.op("MEAN", [read, axes], [means], "ReducerOptions")
    outputs = []
    for name, head in network.heads.items():
        count = len(head.weights)
        weights = writer.tensor(
            f"{name} w", [count, 3], "float32", np.asarray(head.weights, np.float32)
        )
        shift = np.full(count, head.shift, np.float32)
        bias = writer.tensor(f"{name} b", [count], "float32", shift)
        real = writer.tensor(f"{name} real" if head.scale else name, [batch, count], "float32")
        writer.op("FULLY_CONNECTED", [means, weights, bias], [real], "FullyConnectedOptions")
        if head.scale:
            made = writer.tensor(name, [batch, count], "int8", scale=head.scale)
            writer.op("QUANTIZE", [real], [made], "QuantizeOptions")
            real = made
        outputs.append(real)
    model = writer.model(inputs, outputs)
    if signature:
        writer.sign(model)
    builder = flatbuffers.Builder(1 << 14)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


class _Tflite:
    """Collects the objects of a TFLite file with one graph."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._codes: list[Any] = []
        self._buffers = [schema.BufferT()]

    def tensor(
        self,
        name: str,
        sides: Sequence[int],
        dtype: str,
        content: Any = None,
        *,
        scale: Scale | None = None,
    ) -> int:
        """Adds a tensor and returns its index; a side of -1 is of any size."""
        made = self._schema.TensorT()
        made.name = name.encode()
        made.shape = [max(side, 1) for side in sides]
        if min(sides) < 0:
            made.shapeSignature = list(sides)
        made.type = getattr(self._schema.TensorType, dtype.upper())
        made.buffer = 0
        if content is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
            made.buffer = len(self._buffers)
            self._buffers.append(buffer)
        if scale is not None:
            made.quantization = self._schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale[0]], [scale[1]]
        assert math.prod(made.shape) > 0
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def op(self, kind: str, reads: list[int], writes: list[int], options: str) -> None:
        """Adds an op with default options."""
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = code.builtinCode
        code.version = 2 if kind in ("DEQUANTIZE", "QUANTIZE") else 1
        made = self._schema.OperatorT()
        made.opcodeIndex = len(self._codes)
        made.inputs, made.outputs = reads, writes
        made.builtinOptionsType = getattr(self._schema.BuiltinOptions, options)
        made.builtinOptions = getattr(self._schema, f"{options}T")()
        self._codes.append(code)
        self._graph.operators.append(made)

    def model(self, inputs: list[int], outputs: list[int]) -> Any:
        """The whole model."""
        self._graph.inputs, self._graph.outputs = inputs, outputs
        made = self._schema.ModelT()
        made.version = 3
        made.operatorCodes, made.buffers = self._codes, self._buffers
        made.subgraphs = [self._graph]
        return made

    def sign(self, model: Any) -> None:
        """Gives the inputs and outputs of a model their names in a signature, and others."""
        made = self._schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = b"serving_default", 0
        made.inputs = [self._bound(index) for index in self._graph.inputs]
        made.outputs = [self._bound(index) for index in self._graph.outputs]
        model.signatureDefs = [made]

    def _bound(self, index: int) -> Any:
        made = self._schema.TensorMapT()
        tensor = self._graph.tensors[index]
        made.name, made.tensorIndex = tensor.name, index
        tensor.name = b"tensor:%d" % index
        return made
