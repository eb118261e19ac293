"""The range of outputs that artefacts were compared over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agecompact.artifacts.parity import CoveredRange, Result
from parity_tests.compare import Outputs


def covered(outputs: Outputs, unit: str) -> tuple[CoveredRange, ...]:
    """The range of each column of outputs, `(samples, columns)`."""
    return tuple(CoveredRange(float(value.min()), float(value.max()), unit) for value in outputs.T)


def lines(results: Iterable[Result]) -> list[str]:
    """A line for each model and output, for people."""
    ranges = {(r.model, r.output): r.covered for r in results if r.covered}
    return [
        f"{' '.join(filter(None, key))}: compared on {_text(found)}"
        for key, found in ranges.items()
    ]


def _text(ranges: Sequence[CoveredRange]) -> str:
    low, high = min(each.low for each in ranges), max(each.high for each in ranges)
    what = "outputs" if len(ranges) == 1 else f"outputs of {len(ranges)} values"
    return f"{what} from {low:.3g} to {high:.3g} ({ranges[0].unit})"
