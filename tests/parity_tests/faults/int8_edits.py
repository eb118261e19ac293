"""Edits of int8 TFLite graphs, as quantisers make them by mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.parity_tests.editing import TfliteEdit, tflite_ops

# Ops whose int8 kernels demand that what they write has the grid of what they read.
_KEEPS_GRID = ("MAX_POOL_2D", "RESHAPE", "PAD", "CONCATENATION")
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _integers(model: Any, tensor: int, kind: type[np.integer]) -> np.ndarray:
    """The values of a constant, to be changed in place."""
    held = model.subgraphs[0].tensors[tensor]
    buffer = model.buffers[held.buffer]
    buffer.data = np.array(buffer.data, np.uint8)
    return buffer.data.view(kind).reshape(held.shape)


def flipped(kind: str, number: int) -> TfliteEdit:
    """Negates the int8 weights of the n-th op of a kind."""

    def edit(model: Any) -> None:
        weights = _integers(model, tflite_ops(model, kind)[number].inputs[1], np.int8)
        np.negative(weights, out=weights)

    return edit


def without_bias(kind: str, number: int) -> TfliteEdit:
    """Makes the int32 bias of the n-th op of a kind 0."""

    def edit(model: Any) -> None:
        _integers(model, tflite_ops(model, kind)[number].inputs[2], np.int32).fill(0)

    return edit


def scaled(kind: str, number: int, by: float) -> TfliteEdit:
    """Multiplies the step of what the n-th op of a kind writes."""
    return _regridded(kind, number, lambda quantization: _stretch(quantization, by), by)


def moved(kind: str, number: int, to: int) -> TfliteEdit:
    """Sets the zero point of what the n-th op of a kind writes."""

    def change(quantization: Any) -> None:
        quantization.zeroPoint = np.array([to], np.int64)

    return _regridded(kind, number, change, 1.0)


def _stretch(quantization: Any, by: float) -> None:
    quantization.scale = np.float32(quantization.scale) * np.float32(by)


def _regridded(kind: str, number: int, change: Callable[[Any], None], by: float) -> TfliteEdit:
    """Changes a grid and tells the kernels, so that the layers that read it stay right."""

    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        for tensor in _of_one_grid(model, int(tflite_ops(model, kind)[number].outputs[0])):
            change(graph.tensors[tensor].quantization)
            for op in (op for layer in _LAYERS for op in tflite_ops(model, layer)):
                bias = int(op.inputs[2]) if len(op.inputs) > 2 else -1
                if int(op.inputs[0]) == tensor and bias >= 0:
                    values = _integers(model, bias, np.int32)
                    values[:] = np.round(values / by)
                    _stretch(graph.tensors[bias].quantization, by)

    return edit


def _of_one_grid(model: Any, tensor: int) -> Iterator[int]:
    yield tensor
    for kind in _KEEPS_GRID:
        for op in tflite_ops(model, kind):
            if tensor in map(int, op.inputs):
                yield from _of_one_grid(model, int(op.outputs[0]))
