"""Edits of Core ML programs, as converters and people make them by mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.runtimes.coreml import read_specification
from tests.parity_tests.editing import ArrayEdit, Edit, in_mlpackage, mil_block
from tests.weight_blobs import WEIGHT_FILE, blobs


def op_of(specification: Any, output: str) -> Any:
    """The op that writes a tensor."""
    return next(op for op in mil_block(specification).operations if op.outputs[0].name == output)


def retyped(output: str, to: str, *dropped: str, **constants: float) -> Edit:
    """Makes an op another, without some parameters and with others."""

    def edit(specification: Any) -> None:
        op = op_of(specification, output)
        op.type = to
        for name in dropped:
            del op.inputs[name]
        for name, value in constants.items():
            op.inputs[name].arguments.add().name = _scalar(
                specification, op, f"{output}_{name}", value
            )

    return in_mlpackage(edit)


def _scalar(specification: Any, before: Any, name: str, value: float | bool) -> str:
    block = mil_block(specification)
    like = next(
        op
        for op in block.operations
        if op.type == "const"
        and op.attributes["val"].type.tensorType.rank == 0
        and op.attributes["val"].immediateValue.tensor.WhichOneof("value")
        == ("bools" if isinstance(value, bool) else "ints")
    )
    made = type(like)()
    made.CopyFrom(like)
    made.outputs[0].name = name
    made.attributes["name"].immediateValue.tensor.strings.values[0] = name
    tensor = made.attributes["val"].immediateValue.tensor
    if isinstance(value, bool):
        tensor.bools.values[0] = value
    else:
        for kind in (made.outputs[0].type, made.attributes["val"].type):
            kind.tensorType.dataType = 11  # FLOAT32
        tensor.ClearField("ints")
        tensor.floats.values.append(value)
    place = [op.outputs[0].name for op in block.operations].index(before.outputs[0].name)
    block.operations.insert(place, made)
    return name


def swapped(output: str, one: str = "x", other: str = "y") -> Edit:
    """Swaps two parameters of an op."""

    def edit(specification: Any) -> None:
        op = op_of(specification, output)
        first, second = (op.inputs[name].arguments[0].name for name in (one, other))
        op.inputs[one].arguments[0].name, op.inputs[other].arguments[0].name = second, first

    return in_mlpackage(edit)


def reordered(output: str, parameter: str, order: tuple[int, ...]) -> Edit:
    """Puts the arguments of a parameter into another order."""

    def edit(specification: Any) -> None:
        arguments = op_of(specification, output).inputs[parameter].arguments
        names = [arguments[i].name for i in order]
        for argument, name in zip(arguments, names, strict=True):
            argument.name = name

    return in_mlpackage(edit)


def immediate(output: str, change: Callable[[list[Any]], list[Any]]) -> Edit:
    """Edits a constant that the specification itself holds."""

    def edit(specification: Any) -> None:
        tensor = op_of(specification, output).attributes["val"].immediateValue.tensor
        values = getattr(tensor, tensor.WhichOneof("value")).values
        values[:] = change(list(values))

    return in_mlpackage(edit)


def bypassed(output: str, read: str = "x") -> Edit:
    """Makes the readers of an op read its input."""

    def edit(specification: Any) -> None:
        source = op_of(specification, output).inputs[read].arguments[0].name
        for op in mil_block(specification).operations:
            for bound in op.inputs.values():
                for argument in bound.arguments:
                    if argument.name == output:
                        argument.name = source

    return in_mlpackage(edit)


def weights(name: str, change: ArrayEdit) -> Edit:
    """Edits a constant that the weight file holds."""

    def edit(path: Path) -> None:
        specification = read_specification(str(path))
        stored = op_of(specification, name)
        offset = stored.attributes["val"].blobFileValue.offset
        shape = [d.constant.size for d in stored.outputs[0].type.tensorType.dimensions]
        content = (path / WEIGHT_FILE).read_bytes()
        changed = bytearray(content)
        # A blob follows its record of 64 bytes.
        blob = next(each for each in blobs(content) if each.start == offset + 64)
        values = blob.within(changed).reshape(shape)
        made = change(values)
        if made is not None:
            np.copyto(values, made)
        (path / WEIGHT_FILE).write_bytes(bytes(changed))

    return edit
