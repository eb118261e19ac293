"""How far the answers for calibration faces go: beyond them, int8 may clip what a network says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from agecompact.contract import Contract
from agecompact.outputs import Output, Values

# Faces of children and of the old are this many years apart.
_WIDE_YEARS = 50.0
_ENDS = (1, 99)


@dataclass(frozen=True)
class Span:
    """How far answers go.

    Attributes:
        text: Of each output, and what is missing, for people; empty if no output has one answer.
        deviation: Standard deviation of the first output's answers; None if it has several.
        unit: Its unit.
    """

    text: str = ""
    deviation: float | None = None
    unit: str = ""


def span_of(answers: Mapping[str, Values], contract: Contract) -> Span:
    """The span of a network's answers for calibration faces.

    Args:
        answers: By output name, `(faces, 1)`; without outputs that have several, or that are not
            known.
        contract: Of the network.
    """
    known = [output for output in contract.outputs if output.name in answers]
    text = "; ".join(part for output in known for part in _told(output, answers[output.name]))
    first = contract.outputs[0]
    if first not in known:
        return Span(text)
    return Span(text, float(answers[first.name].std()), first.unit)


def _told(output: Output, answers: Values) -> Iterator[str]:
    low, high = np.percentile(answers, _ENDS)
    ends = f"{low:.3g} to {high:.3g} {output.unit}"
    yield f"calibrated with {len(answers)} faces, whose answers go from {ends}"
    if output.unit == "years" and high - low < _WIDE_YEARS:
        yield "add faces of other ages: int8 may be off by many years for them"
