"""How far an artefact may stray from PyTorch, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agecompact.contract import Unit

# An age network's answers span about a century; a score's, 1. A gate for scores is the same share
# of its span.
_YEARS_PER_SCORE = 100.0


@dataclass(frozen=True)
class Tolerance:
    """The gate of one precision.

    Attributes:
        max_years: The greatest error of any sample that passes.
        reason: Why that figure.
    """

    max_years: float
    reason: str


TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(
        1e-3, "a right conversion errs by 1e-5 to 1e-4; a wrong BN epsilon already by 1e-3"
    ),
    "float16": Tolerance(
        0.1, "float16 weights cost 0.01 to 0.07; running variances overflowing cost 3 and more"
    ),
}

# Between inputs as different as black, noise and a face, a working network's answers differ by
# years; the classic answer of 33.5 for every face, by nothing.
MIN_SPREAD_YEARS = 0.05


def in_units(years: float, unit: Unit) -> float:
    """A gate in years as a gate in the output's unit."""
    return years if unit == "years" else years / _YEARS_PER_SCORE
