"""Edits of TFLite graphs, as converters and people make them by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.parity_tests.editing import ArrayEdit, TfliteEdit, tflite_ops


def options(kind: str, number: int, **values: Any) -> TfliteEdit:
    """Sets options of the n-th op of a kind."""

    def edit(model: Any) -> None:
        for name, value in values.items():
            setattr(tflite_ops(model, kind)[number].builtinOptions, name, value)

    return edit


def retyped(
    kind: str, number: int, to: str, with_options: Callable[[Any], Any] | None = None
) -> TfliteEdit:
    """Makes the n-th op of a kind another op."""

    def edit(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        op = tflite_ops(model, kind)[number]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, to)
        code.version = 1
        model.operatorCodes.append(code)
        op.opcodeIndex = len(model.operatorCodes) - 1
        if with_options is not None:
            op.builtinOptionsType, op.builtinOptions = with_options(schema)

    return edit


def pool_as(to: str, number: int, *, padding: int = 1, side: int = 2) -> TfliteEdit:
    """Makes the n-th depthwise convolution, the mean of a pool, a pool of another kind or form."""

    def edit(model: Any) -> None:
        op = tflite_ops(model, "DEPTHWISE_CONV_2D")[number]
        retyped("DEPTHWISE_CONV_2D", number, to, _pool_options(padding, side))(model)
        op.inputs = op.inputs[:1]

    return edit


def _pool_options(padding: int, side: int) -> Callable[[Any], Any]:
    def made(schema: Any) -> Any:
        options = schema.Pool2DOptionsT()
        options.padding, options.strideH, options.strideW = padding, 2, 2
        options.filterHeight = options.filterWidth = side
        return schema.BuiltinOptions.Pool2DOptions, options

    return made


def add_options(schema: Any) -> Any:
    """The options of ADD."""
    return schema.BuiltinOptions.AddOptions, schema.AddOptionsT()


def no_options(schema: Any) -> Any:
    """The options of an op that has none."""
    return schema.BuiltinOptions.NONE, None


def swapped_inputs(kind: str, number: int, order: tuple[int, ...]) -> TfliteEdit:
    """Puts the inputs of the n-th op of a kind into another order."""

    def edit(model: Any) -> None:
        op = tflite_ops(model, kind)[number]
        op.inputs = [int(op.inputs[i]) for i in order]

    return edit


def constant(kind: str, number: int, place: int, change: ArrayEdit) -> TfliteEdit:
    """Edits a constant of the n-th op of a kind; other readers of it keep theirs."""

    def edit(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        graph = model.subgraphs[0]
        op = tflite_ops(model, kind)[number]
        old = graph.tensors[op.inputs[place]]
        dtype = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32}
        values = np.array(model.buffers[old.buffer].data, np.uint8).view(dtype[old.type])
        values = values.reshape([] if old.shape is None else old.shape).copy()
        made = change(values)
        values = values if made is None else made
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.name, tensor.shape, tensor.type = old.name + b"/other", old.shape, old.type
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
        op.inputs = [
            len(graph.tensors) - 1 if i == place else int(t) for i, t in enumerate(op.inputs)
        ]

    return edit
