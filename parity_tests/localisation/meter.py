"""Errors of paired tensors, in units of what rounding makes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity_tests.localisation.alignment import Pair
from parity_tests.localisation.graph import Graph, rms
from parity_tests.localisation.recompute import Values
from parity_tests.localisation.rounding import UNITS

# Without the network, rounding is taken for this many units of the tensor's size.
_UNITS_OF_SIZE = {"float32": 16.0, "float16": 4.0}


class Meter:
    """Errors of pairs, absolute and in units of rounding.

    Attributes:
        unit: The largest relative error of one rounding at the candidate's precision.
    """

    def __init__(
        self, mine: Graph, theirs: Graph, precision: str, rounding: Mapping[str, float]
    ) -> None:
        self._mine, self._theirs = mine, theirs
        self.unit, self._rounding = UNITS[precision], rounding
        self._thumb = _UNITS_OF_SIZE[precision]

    def values(self, pair: Pair) -> tuple[Values, Values] | None:
        """Reference and candidate, `(samples, *shape)` in the reference's layout, float64."""
        if pair.view is None:
            return None
        mine, theirs = self._mine.values(pair.reference), self._theirs.values(pair.candidate)
        right = np.stack([np.asarray(pair.view.of_reference(v), np.float64) for v in mine])
        return right, np.stack([np.asarray(pair.view.of_candidate(v), np.float64) for v in theirs])

    def floor(self, index: int) -> float:
        """RMS error that rounding makes of a tensor of the reference."""
        values = np.stack([np.asarray(v, np.float64) for v in self._mine.values(index)])
        # Values that cancel to nothing, or a lucky draw, leave less than any storage rounds.
        least = self.unit * rms(values) / 4
        measured = self._rounding.get(self._mine.steps[index].output)
        if measured is None:
            measured = self._thumb * self.unit * rms(values)
        return max(measured, least, 1e-30)

    def error(self, pair: Pair) -> tuple[float, float] | None:
        """Greatest and RMS error; None where shapes or NaN forbid it."""
        both = self.values(pair)
        if both is None or not np.isfinite(both[1]).all():
            return None
        difference = both[1] - both[0]
        return float(np.abs(difference).max()), rms(difference)

    def ratio(self, pair: Pair) -> float:
        """RMS error in units of rounding; images as integers are another unit, and not judged."""
        if self._theirs.values(pair.candidate)[0].dtype.kind in "ui":
            return 0.0
        error = self.error(pair)
        return float("inf") if error is None else error[1] / self.floor(pair.reference)
