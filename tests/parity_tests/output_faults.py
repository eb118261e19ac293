"""Faults that act on some outputs only, as ops after the output of an ONNX or a TFLite model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.parity_tests.editing import OnnxEdit, TfliteEdit, renamed

# An op and its two arguments: a number, "y" for the output of the model, or the place of an earlier
# step.
Step = tuple[str, float | int | str, float | int | str]

_STEEP = 1e4


def at_least(limit: float) -> Sequence[Step]:
    """No output is lower than a limit."""
    return [("Max", "y", limit)]


def at_most(limit: float) -> Sequence[Step]:
    """No output is higher than a limit."""
    return [("Min", "y", limit)]


def bump(low: float, high: float, by: float) -> Sequence[Step]:
    """Outputs between two limits are too high."""
    return [
        ("Sub", "y", low),
        ("Mul", 0, _STEEP),
        ("Max", 1, 0.0),
        ("Min", 2, by),
        ("Sub", "y", high),
        ("Mul", 4, _STEEP),
        ("Max", 5, 0.0),
        ("Min", 6, by),
        ("Add", "y", 3),
        ("Sub", 8, 7),
    ]


def onnx_output(steps: Sequence[Step]) -> OnnxEdit:
    """Puts steps after the output of an ONNX model."""

    def edit(model: onnx.ModelProto) -> None:
        graph = model.graph
        name = graph.output[0].name
        renamed(model, {name: "y"})

        def tensor(argument: float | int | str) -> str:
            if not isinstance(argument, float):
                return f"step {argument}" if isinstance(argument, int) else argument
            stored = numpy_helper.from_array(
                np.full((1, 1), argument, np.float32), f"constant {len(graph.initializer)}"
            )
            graph.initializer.append(stored)
            return stored.name

        for place, (op, *arguments) in enumerate(steps):
            to = name if place == len(steps) - 1 else f"step {place}"
            graph.node.append(helper.make_node(op, [tensor(each) for each in arguments], [to]))

    return edit


def tflite_output(steps: Sequence[Step]) -> TfliteEdit:
    """Puts steps after the output of a TFLite model."""

    def edit(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        kinds = {
            "Max": ("MAXIMUM", None),
            "Min": ("MINIMUM", None),
            "Add": ("ADD", schema.AddOptionsT),
            "Sub": ("SUB", schema.SubOptionsT),
            "Mul": ("MUL", schema.MulOptionsT),
        }
        graph = model.subgraphs[0]
        made: list[int] = []

        def new_tensor(content: bytes | None = None) -> int:
            tensor, stored = schema.TensorT(), schema.BufferT()
            tensor.name, tensor.shape = f"made {len(graph.tensors)}".encode(), [1, 1]
            tensor.type = schema.TensorType.FLOAT32
            if content is not None:
                stored.data = np.frombuffer(content, np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(stored)
            graph.tensors.append(tensor)
            return len(graph.tensors) - 1

        def tensor(argument: float | int | str) -> int:
            if isinstance(argument, float):
                return new_tensor(np.float32(argument).tobytes())
            return made[argument] if isinstance(argument, int) else int(graph.outputs[0])

        for op, *arguments in steps:
            kind, options = kinds[op]
            code, operator = schema.OperatorCodeT(), schema.OperatorT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
            code.version = 1
            operator.opcodeIndex = len(model.operatorCodes)
            model.operatorCodes.append(code)
            operator.inputs = [tensor(each) for each in arguments]
            made.append(new_tensor())
            operator.outputs = [made[-1]]
            if options is not None:
                operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{op}Options")
                operator.builtinOptions = options()
            graph.operators.append(operator)
        # The output keeps its name, which an app binds to.
        before, after = graph.tensors[graph.outputs[0]], graph.tensors[made[-1]]
        before.name, after.name = after.name, before.name
        graph.outputs = [made[-1]]
        for signature in model.signatureDefs or ():
            for output in signature.outputs:
                output.tensorIndex = made[-1]

    return edit
