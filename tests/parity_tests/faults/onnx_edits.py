"""Edits of ONNX graphs, as converters and people make them by mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.parity_tests.editing import OnnxEdit, after, attributes, inputs_of, node, renamed


def retyped(name: str, op: str, *dropped: str, **values: Any) -> OnnxEdit:
    """Makes a node another op, with other attributes."""

    def plant(model: onnx.ModelProto) -> None:
        attributes(name, *dropped, **values)(model)
        node(model, name).op_type = op

    return plant


def clipped(name: str, low: float, high: float) -> OnnxEdit:
    """Makes an activation a clip."""

    def plant(model: onnx.ModelProto) -> None:
        ends = [constant(model, f"{name}/{end}", float(end)) for end in (low, high)]
        found = node(model, name)
        found.op_type = "Clip"
        del found.attribute[:]
        found.input.extend(ends)

    return plant


def constant(model: onnx.ModelProto, name: str, value: Any) -> str:
    """Adds an initializer, float32 unless it holds integers, and returns its name."""
    array = np.asarray(value)
    array = array if array.dtype.kind == "i" else array.astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def with_constant(name: str, op: str, value: Any) -> OnnxEdit:
    """Puts an op with a constant after a node."""

    def plant(model: onnx.ModelProto) -> None:
        after(model, name, (op, (constant(model, f"{name}/{op}", value),), {}))

    return plant


def on_input(op: str, value: Any, which: int = 0) -> OnnxEdit:
    """Puts an op with a constant after an input, as preprocessing in the graph."""

    def plant(model: onnx.ModelProto) -> None:
        name = model.graph.input[which].name
        renamed(model, {name: "prepared"}, outputs=False)
        read = constant(model, "preparation", value)
        model.graph.node.insert(0, helper.make_node(op, [name, read], ["prepared"], "prepare"))

    return plant


def clamped(name: str, low: float, high: float) -> OnnxEdit:
    """Puts a clip after a node."""

    def plant(model: onnx.ModelProto) -> None:
        ends = tuple(constant(model, f"{name}/{end}", float(end)) for end in (low, high))
        after(model, name, ("Clip", ends, {}))

    return plant


def one_operand_twice(name: str) -> OnnxEdit:
    """Makes a node read its first operand twice."""

    def plant(model: onnx.ModelProto) -> None:
        found = node(model, name)
        found.input[1] = found.input[0]

    return plant


def constant_of(name: str, value: Any, place: int = 1) -> OnnxEdit:
    """Gives a node another constant; other readers of the old one keep it."""

    def plant(model: onnx.ModelProto) -> None:
        found = node(model, name)
        found.input[place] = constant(model, f"{name}/other", value)

    return plant


def reads(name: str, place: int, other: str) -> OnnxEdit:
    """Makes a node read another tensor."""

    def plant(model: onnx.ModelProto) -> None:
        node(model, name).input[place] = other

    return plant


def in_half(name: str) -> OnnxEdit:
    """Stores what a node wrote as float16."""
    half, full = {"to": TensorProto.FLOAT16}, {"to": TensorProto.FLOAT}
    return lambda model: after(model, name, ("Cast", (), half), ("Cast", (), full))


def composed(name: str, *ops: tuple[str, tuple[str, ...]], **constants: Any) -> OnnxEdit:
    """Makes a unary op several ops: each is a type and its inputs, `x` being what the op read.

    The i-th op writes `t<i>`; the last writes what the op wrote.
    """

    def plant(model: onnx.ModelProto) -> None:
        found = node(model, name)
        place, wrote = list(model.graph.node).index(found), found.output[0]
        names = {"x": found.input[0]}
        names |= {key: constant(model, f"{name}/{key}", v) for key, v in constants.items()}
        model.graph.node.remove(found)
        for number, (op, read) in enumerate(ops):
            last = number == len(ops) - 1
            names[f"t{number}"] = wrote if last else f"{name}/t{number}"
            made = helper.make_node(
                op, [names[r] for r in read], [names[f"t{number}"]], f"{name}/{number}"
            )
            model.graph.node.insert(place + number, made)
        del model.graph.value_info[:]

    return plant


def swapped_operands(name: str) -> OnnxEdit:
    """Swaps the operands of a node."""
    return inputs_of(name, (1, 0))
