"""Edits of int8 ONNX graphs, QuantizeLinear and DequantizeLinear around each layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.parity_tests.editing import OnnxEdit, tflite_ops

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def place_of(tflite: Path, number: int) -> int:
    """The place among all convolutions of a file of its n-th that is no depthwise one."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tflite.read_bytes(), 0)
    operators = list(model.subgraphs[0].operators)
    (wanted,) = [tflite_ops(model, "CONV_2D")[number]]
    layers = [op for kind in _LAYERS for op in tflite_ops(model, kind)]
    return sorted(map(operators.index, layers)).index(operators.index(wanted))


def flipped(number: int) -> OnnxEdit:
    """Negates the int8 weights of the n-th convolution."""
    return _constant(number, 1, np.negative)


def without_bias(number: int) -> OnnxEdit:
    """Makes the int32 bias of the n-th convolution 0."""
    return _constant(number, 2, np.zeros_like)


def scaled(number: int, by: float) -> OnnxEdit:
    """Multiplies the step of what the n-th convolution writes."""
    return _grid(number, 1, lambda step: step * np.float32(by))


def moved(number: int, to: int) -> OnnxEdit:
    """Sets the zero point of what the n-th convolution writes, 0 to 255."""
    return _grid(number, 2, lambda zero: np.full_like(zero, to))


def restored(number: int, by: float) -> OnnxEdit:
    """Multiplies the step that the output of the n-th convolution is read with."""
    return _grid(number, 1, lambda step: step * np.float32(by), kinds=("DequantizeLinear",))


def _constant(number: int, place: int, change: Callable[[np.ndarray], np.ndarray]) -> OnnxEdit:
    def edit(model: onnx.ModelProto) -> None:
        layer = _convolution(model, number)
        (restoring,) = [n for n in model.graph.node if layer.input[place] in n.output]
        _exchange(model, restoring, 0, change)

    return edit


def _grid(
    number: int,
    place: int,
    change: Callable[[np.ndarray], np.ndarray],
    kinds: tuple[str, ...] = ("QuantizeLinear", "DequantizeLinear"),
) -> OnnxEdit:
    def edit(model: onnx.ModelProto) -> None:
        written = _convolution(model, number).output[0]
        pending = [written]
        while pending:
            name = pending.pop()
            for node in model.graph.node:
                if name not in node.input[:1]:
                    continue
                if node.op_type in kinds:
                    _exchange(model, node, place, change)
                if node.op_type in ("Relu", "QuantizeLinear"):
                    pending.append(node.output[0])

    return edit


def _convolution(model: onnx.ModelProto, number: int) -> Any:
    return [node for node in model.graph.node if node.op_type == "Conv"][number]


def _exchange(
    model: onnx.ModelProto, node: Any, place: int, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Gives a node a constant of its own; others may read the old one."""
    stored = {each.name: each for each in model.graph.initializer}
    values = change(numpy_helper.to_array(stored[node.input[place]]))
    name = f"{node.output[0]}/{place}"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    node.input[place] = name
