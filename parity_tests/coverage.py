"""The range of outputs that artefacts were compared over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agecompact.artifacts.parity import CoveredRange, Result
from agecompact.contract import Unit
from parity_tests.compare import Outputs


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
