"""The mistakes that apps make with a network's input, and what each does to it.

A golden test compares a wrong answer with those of the mistakes, so that it can name the one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agecompact.contract import Contract, Crop, Image
from agecompact.evaluation.mistakes import MISTAKES, Inputs, Mistake


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Attributes:
        name: What the app does, for people.
        apply: What it makes of a chip (uint8 HWC BGR): tensors with batch size 1, by input name.
    """

    name: str
    apply: Callable[[Image], Inputs]


# By name of the mistake. The text follows "as if".
_TEXTS = {
    "colour-order": "red and blue are swapped",
    "range-0-1": "values are from 0 to 1",
    "range-0-255": "values are from 0 to 255",
    "no-mean-std": "mean and std are left out",
    "layout": "pixels are not put into planes",
    "resize-linear": "the resize is bilinear, not an area average",
    "crops-whole": "every input gets the whole chip",
}


def faults_of(contract: Contract) -> tuple[Fault, ...]:
    """The mistakes that change the input of a contract."""
    by_name = {each.name: each for each in MISTAKES}
    return tuple(
        _fault(by_name[name], text, contract)
        for name, text in _TEXTS.items()
        if _applies(by_name[name], contract)
    )


def _applies(mistake: Mistake, contract: Contract) -> bool:
    if mistake.name == "crops-whole":
        # A single crop may be a part of the chip as well.
        return any(crop != Crop(crop.name) for crop in contract.crops)
    if mistake.name == "layout" and contract.layout != "NCHW":
        return False
    return mistake.applies(contract)


def _fault(mistake: Mistake, text: str, contract: Contract) -> Fault:
    return Fault(text, lambda chip: mistake.inputs([chip], contract))
