"""The mistakes that apps make with a network's input, and what each does to it.

A golden test compares a wrong answer with those of the mistakes, so that it can name the one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from agecompact.contract import Contract, Crop, Image, Tensor

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Attributes:
        name: What the app does, for people.
        apply: What it makes of a chip (uint8 HWC BGR): tensors with batch size 1, by input name.
    """

    name: str
    apply: Callable[[Image], Inputs]


def faults_of(contract: Contract) -> tuple[Fault, ...]:
    """The mistakes that change the input of a contract."""
    found = []
    if contract.channels > 1:
        swapped = _with(contract, color_order="RGB" if contract.color_order == "BGR" else "BGR")
        found.append(Fault("red and blue are swapped", swapped.apply))
    if not contract.takes_levels:
        if contract.value_range != (0.0, 1.0):
            found.append(
                Fault("values are from 0 to 1", _with(contract, value_range=(0.0, 1.0)).apply)
            )
        if contract.value_range != (0.0, 255.0):
            raw = _with(contract, value_range=(0.0, 255.0))
            found.append(Fault("values are from 0 to 255", raw.apply))
        if any(contract.mean) or any(value != 1 for value in contract.std):
            plain = _with(contract, mean=(), std=())
            found.append(Fault("mean and std are left out", plain.apply))
    if contract.channels > 1 and contract.layout == "NCHW":
        found.append(Fault("pixels are not put into planes", partial(_unplaned, contract)))
    if contract.interpolation == "area":
        linear = _with(contract, interpolation="linear")
        found.append(Fault("the resize is bilinear, not an area average", linear.apply))
    if any(crop != Crop(crop.name) for crop in contract.crops):
        whole = _with(contract, crops=tuple(Crop(crop.name) for crop in contract.crops))
        found.append(Fault("every input gets the whole chip", whole.apply))
    return tuple(found)


def _with(contract: Contract, **changes: object) -> Contract:
    return replace(contract, **changes)  # type: ignore[arg-type]


def _unplaned(contract: Contract, chip: Image) -> Inputs:
    """Tensors whose values are in NHWC order under a shape of NCHW."""
    interleaved = _with(contract, layout="NHWC").apply(chip)
    return {
        name: np.ascontiguousarray(value).reshape(contract.input_shape)
        for name, value in interleaved.items()
    }
