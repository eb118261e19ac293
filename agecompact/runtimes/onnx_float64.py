"""ONNX files in float64, computed by NumPy: what the float32 of ONNX Runtime is checked against.

ONNX Runtime has no float64 kernels of convolutions. `onnx.reference` has one of every standard op;
it computes in the dtype of the inputs, and takes about a second for an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from agecompact.errors import UsageError, first_line
from agecompact.runtimes import onnxruntime, onnxruntime_declared
from agecompact.runtimes.base import Array, Arrays, Backend, Declared, Interface, Session, Trace

_HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
# Attributes that name the dtype of an op's output.
_DTYPES = frozenset({"to", "dtype", "output_datatype"})
# In the names of ops that compute with integers in place of floats.
_QUANTISED = ("quantize", "qlinear", "integer")
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# `onnx.reference` computes its weights in float32, whatever the dtype of its inputs.
_ROUNDED = frozenset({"GridSample"})


class _Session(Session):
    def __init__(self, model: ModelProto) -> None:
        self._interface = _interface(model)
        self._ops = {name: node.op_type for node in model.graph.node for name in node.output}
        widen(model)
        try:
            self._evaluator = ReferenceEvaluator(model)
        except Exception as error:  # It raises exceptions of any class.
            raise _impossible(f"onnx.reference cannot load it: {first_line(error)}") from None

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        wide = {name: _widened(value) for name, value in inputs.items()}
        values: Mapping[str, Any] = self._evaluator.run(None, wide, intermediate=True)
        for name, op in self._ops.items():
            # A constant may be stored in half precision, to be cast.
            if op != "Constant" and _is_narrow(values.get(name)):
                raise _impossible(f"op {op} computes in {values[name].dtype}")
        return {name: values[name] for name in self._interface.outputs}

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        return partial(self.infer, inputs)

    def trace(self, inputs: Arrays) -> Trace:
        raise UsageError(f"it traces no ops from {', '.join(inputs)}")

    def interface(self) -> Interface:
        return self._interface


class _OnnxFloat64(Backend):
    """What a file says is what ONNX Runtime reads of it. Outputs are float64, not float32."""

    def read_metadata(self, path: str) -> str | None:
        return onnxruntime.BACKEND.read_metadata(path)

    def describe(self, path: str) -> dict[str, Any]:
        return onnxruntime.BACKEND.describe(path)

    def declared(self, path: str) -> Declared:
        return onnxruntime.BACKEND.declared(path)

    def open_session(self, path: str, threads: int) -> Session:  # noqa: ARG002
        model = onnx.load_model(path)
        if reason := _obstacle(model):
            raise _impossible(reason)
        return _Session(model)

    def version(self) -> str:
        return f"onnx.reference {onnx.__version__}"


def widen(model: ModelProto) -> None:
    """Makes every float32 of a model float64: constants, inputs, outputs, and what ops cast to.

    Args:
        model: Is changed; external data must be loaded.
    """
    for graph in _graphs(model):
        for tensor in graph.initializer:
            _widen_tensor(tensor)
        for sparse in graph.sparse_initializer:
            _widen_tensor(sparse.values)
        for value in (*graph.input, *graph.output, *graph.value_info):
            _widen_type(value.type)
    for function in model.functions:
        for value in function.value_info:
            _widen_type(value.type)
    for node in _nodes(model):
        _widen_node(node)


def _interface(model: ModelProto) -> Interface:
    (declared,) = onnxruntime_declared.declared(model).places
    # Before IR version 4, constants are inputs as well.
    constants = {each.name for each in model.graph.initializer}
    inputs = {name: port for name, port in declared.inputs if name not in constants}
    return Interface(inputs, dict(declared.outputs))


def _impossible(why: str) -> UsageError:
    return UsageError("no float64 evaluation", why=why)


def _obstacle(model: ModelProto) -> str:
    """Why a model cannot be compared with float64; empty if it can.

    Where a file rounds to fewer digits on purpose, float64 rounds at other places: the difference
    would say nothing about float32.
    """
    functions = {(each.domain, each.name) for each in model.functions}
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type in _HALVES:
            return f"'{value.name}' is in half precision"
    for node in _nodes(model):
        if node.domain not in _STANDARD and (node.domain, node.op_type) not in functions:
            return f"op {node.op_type} of {node.domain} is not a standard ONNX op"
        if any(part in node.op_type.lower() for part in _QUANTISED):
            return f"op {node.op_type} is quantised"
        if any(each.name in _DTYPES and each.i in _HALVES for each in node.attribute):
            return f"op {node.op_type} rounds to half precision"
        if node.op_type in _ROUNDED:
            return f"onnx.reference computes op {node.op_type} in float32"
    return ""


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    """All nodes, those of functions and of graphs inside nodes included."""
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _graphs(model: ModelProto) -> Iterator[Any]:
    """All graphs, those inside nodes included."""
    waiting = [model.graph, *_inside(node for f in model.functions for node in f.node)]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += _inside(graph.node)


def _inside(nodes: Any) -> list[Any]:
    attributes = (attribute for node in nodes for attribute in node.attribute)
    return [g for a in attributes for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]


def _widen_node(node: NodeProto) -> None:
    if node.op_type == "ConstantOfShape" and not node.attribute:
        zero = numpy_helper.from_array(np.zeros(1, np.float64))
        node.attribute.append(helper.make_attribute("value", zero))
    for attribute in node.attribute:
        if attribute.name in _DTYPES and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.DOUBLE
        if attribute.HasField("t"):
            _widen_tensor(attribute.t)
        for tensor in attribute.tensors:
            _widen_tensor(tensor)
        if attribute.HasField("sparse_tensor"):
            _widen_tensor(attribute.sparse_tensor.values)
        if node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            _widen_constant(attribute)


def _widen_constant(attribute: AttributeProto) -> None:
    """Writes the numbers of a Constant as a tensor: as plain numbers, they are float32."""
    several = attribute.name == "value_floats"
    numbers = np.array(attribute.floats if several else attribute.f, np.float64)
    attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(numbers)))


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def _widen_type(kind: Any) -> None:
    which = kind.WhichOneof("value")
    if which in ("sequence_type", "optional_type"):
        _widen_type(getattr(kind, which).elem_type)
    elif which == "tensor_type" and kind.tensor_type.elem_type == TensorProto.FLOAT:
        kind.tensor_type.elem_type = TensorProto.DOUBLE


def _widened(value: Array) -> Array:
    return value.astype(np.float64) if value.dtype == np.float32 else value


def _is_narrow(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != np.float64


BACKEND = _OnnxFloat64()
