"""How the contract inside an artefact differs from the build's, by what it does to an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from agecompact.contract import Contract, Output

# Fields that make the table of input values; `layout` may differ, as TFLite's does.
_OF_TABLE = ("value_range", "mean", "std")
_SIDES = ("left", "top", "right", "bottom")
_LEVEL = 128


def differences(wanted: Contract, found: Contract) -> tuple[str, ...]:
    """Differences that change what the network reads, one sentence each.

    Args:
        wanted: The contract that the network was trained with.
        found: The one inside an artefact. If it is of uint8 images, its graph does the rest.
    """
    return (*_of_crops(wanted, found), *_of_sizes(wanted, found), *_of_values(wanted, found))


def contradictions(own: Contract, given: Contract) -> tuple[str, ...]:
    """What a contract given by hand says otherwise than the one in a file, one sentence each.

    Args:
        own: The contract in the file, whose dtype and quantisation count.
        given: The other.
    """
    read_alike = replace(given, dtype=own.dtype, quantization=own.quantization)
    return (*differences(own, read_alike), *_of_outputs(own, given))


def crop_differences(wanted: Contract, found: Contract) -> tuple[str, ...]:
    """Differences of the crops, one sentence each."""
    return tuple(_of_crops(wanted, found))


def corrected(wanted: Contract, found: Contract) -> Contract:
    """The contract inside an artefact, with the right colours, values and filter."""
    fixed = replace(found, interpolation=wanted.interpolation)
    if found.takes_levels:
        return fixed
    return replace(
        fixed,
        color_order=wanted.color_order,
        value_range=wanted.value_range,
        mean=wanted.mean,
        std=wanted.std,
    )


def _of_crops(wanted: Contract, found: Contract) -> Iterator[str]:
    if len(wanted.crops) != len(found.crops):
        yield f"it has {len(found.crops)} inputs, not {len(wanted.crops)}"
        return
    crops = {crop.name: crop for crop in found.crops}
    same_names = set(wanted.input_names) == set(crops)
    # By position where two files have different names for one crop.
    for mine, other in zip(wanted.crops, found.crops, strict=True):
        theirs = crops[mine.name] if same_names else other
        for side in _SIDES:
            right, wrong = getattr(mine, side), getattr(theirs, side)
            if right != wrong:
                yield f"crop '{theirs.name}' has {side} {wrong:g}, not {right:g}"


def _of_sizes(wanted: Contract, found: Contract) -> Iterator[str]:
    if (wanted.height, wanted.width) != (found.height, found.width):
        yield f"it is {found.height} x {found.width}, not {wanted.height} x {wanted.width}"
    if wanted.interpolation != found.interpolation:
        yield f"interpolation is {found.interpolation}, not {wanted.interpolation}"


def _of_values(wanted: Contract, found: Contract) -> Iterator[str]:
    if found.takes_levels:
        return
    if wanted.channels != found.channels:
        yield f"it takes {found.color_order} images, not {wanted.color_order}"
        return
    if wanted.color_order != found.color_order:
        yield f"color_order is {found.color_order}, not {wanted.color_order}"
    # Each colour's own values, wherever the colour is.
    turn = 1 if wanted.color_order == found.color_order else -1
    right, wrong = wanted.table()[0], found.table()[0][:, ::turn]
    if np.allclose(wrong, right, rtol=1e-6, atol=1e-6 * float(np.abs(right).max())):
        return
    changed = [
        f"{name} is {_listed(getattr(found, name))}, not {_listed(getattr(wanted, name))}"
        for name in _OF_TABLE
        if getattr(found, name) != getattr(wanted, name)
    ]
    if not changed:  # The same mean and std, for other colours: the order says it.
        return
    channel = int(np.abs(wrong - right).max(0).argmax())
    yield (
        f"{' and '.join(changed)}: a pixel of {_LEVEL} becomes {wrong[_LEVEL, channel]:.4g}, "
        f"not {right[_LEVEL, channel]:.4g}"
    )


def _of_outputs(own: Contract, given: Contract) -> Iterator[str]:
    if len(own.outputs) != len(given.outputs):
        yield f"it has {len(given.outputs)} outputs, not {len(own.outputs)}"
        return
    # By position, as for crops.
    for mine, theirs in zip(own.outputs, given.outputs, strict=True):
        for field in fields(Output):
            right, wrong = getattr(mine, field.name), getattr(theirs, field.name)
            if right != wrong:
                yield f"{field.name} of output '{theirs.name}' is {wrong}, not {right}"


def _listed(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
