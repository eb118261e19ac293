"""The range of outputs that artefacts were compared over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agecompact.contract import Unit
from parity_tests.compare import Outputs

if TYPE_CHECKING:
    from parity_tests.results import Result


@dataclass(frozen=True)
class CoveredRange:
    """The lowest and the highest output of the reference, over the inputs that were compared.

    Attributes:
        low: The lowest output, in `unit`.
        high: The highest output, in `unit`.
        unit: Unit of both.
    """

    low: float
    high: float
    unit: Unit


def covered(outputs: Outputs, unit: Unit) -> tuple[CoveredRange, ...]:
    """The range of each value of an output, `(samples, values)`."""
    return tuple(CoveredRange(float(value.min()), float(value.max()), unit) for value in outputs.T)


def lines(results: Iterable[Result]) -> list[str]:
    """A line for each model, for people."""
    ranges = {result.model: result.covered for result in results if result.covered}
    return [f"{model}: compared on {_text(found)}" for model, found in ranges.items()]


def _text(ranges: Sequence[CoveredRange]) -> str:
    low, high = min(each.low for each in ranges), max(each.high for each in ranges)
    what = "outputs" if len(ranges) == 1 else f"outputs of {len(ranges)} values"
    return f"{what} from {low:.3g} to {high:.3g} ({ranges[0].unit})"
