"""Errors of paired tensors, relative to the errors that rounding causes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agecompact.precisions import PRECISIONS
from parity_tests.localisation.alignment import Pair
from parity_tests.localisation.graph import Graph, rms
from parity_tests.localisation.recompute import Values

# Without the network, rounding is assumed to cost this many roundings of the stored values, and
# this many of kernels that compute in float32, relative to the tensor's magnitude.
_STORED_ROUNDINGS = 4.0
_KERNEL_ROUNDINGS = 12.0
_RELUS = frozenset(("relu", "relu6"))
_KERNEL_UNIT = PRECISIONS["float32"].rounding_unit


class ErrorMeter:
    """Errors of pairs, absolute and relative to rounding.

    Args:
        reference: The reference's graph.
        candidate: The candidate's.
        precision: The candidate's, a key of `agecompact.precisions.PRECISIONS`.
        rounding: RMS error that rounding causes, by the reference's tensor; a rule of thumb
            replaces what is missing.

    Attributes:
        unit: Largest relative error of one rounding at the candidate's precision.
    """

    def __init__(
        self, reference: Graph, candidate: Graph, precision: str, rounding: Mapping[str, float]
    ) -> None:
        self._reference, self._candidate, self._rounding = reference, candidate, rounding
        self._known: dict[int, float] = {}
        self.unit = PRECISIONS[precision].rounding_unit

    def values(self, pair: Pair) -> tuple[Values, Values] | None:
        """Reference and candidate, `(samples, *shape)` in the reference's layout, float64."""
        view = pair.view
        if view is None:
            return None
        mine, theirs = (
            self._reference.values(pair.reference),
            self._candidate.values(pair.candidate),
        )
        return (
            np.stack([np.asarray(view.of_reference(v), np.float64) for v in mine]),
            np.stack([np.asarray(view.of_candidate(v), np.float64) for v in theirs]),
        )

    def rounding_error(self, index: int) -> float:
        """RMS error that rounding causes in a tensor of the reference."""
        if index not in self._known:
            self._known[index] = max(self._measured(index), self._passed_through(index), 1e-30)
        return self._known[index]

    def _measured(self, index: int) -> float:
        magnitude = self._magnitude(index)
        measured = self._rounding.get(self._reference.steps[index].output)
        if measured is None:
            roundings = _STORED_ROUNDINGS * self.unit + _KERNEL_ROUNDINGS * _KERNEL_UNIT
            measured = roundings * magnitude
        # Values that cancel, or a lucky draw, give less than any storage costs.
        return max(measured, self.unit * magnitude / 4)

    def _passed_through(self, index: int) -> float:
        """What rounding of its inputs costs a tensor that is zero, or the output of a relu.

        A relu hides the error of what it cuts off, until a fault moves that above zero.
        """
        parents = self._reference.parents[index]
        relu, zero = self._reference.kind(index) in _RELUS, not self._magnitude(index)
        if not parents or not (relu or zero):
            return 0.0
        greatest = max(map(self._magnitude, parents))
        return max(map(self.rounding_error, parents)) * (1.0 if relu else max(greatest, 1.0))

    def _magnitude(self, index: int) -> float:
        values = np.stack([np.asarray(v, np.float64) for v in self._reference.values(index)])
        return rms(values)

    def error(self, pair: Pair) -> tuple[float, float] | None:
        """Greatest and RMS error; None if the shapes differ or the candidate is not finite."""
        both = self.values(pair)
        if both is None or not np.isfinite(both[1]).all():
            return None
        difference = both[1] - both[0]
        return float(np.abs(difference).max()), rms(difference)

    def ratio(self, pair: Pair) -> float:
        """RMS error relative to rounding; 0 for an image as integers, which has another scale."""
        if self._candidate.values(pair.candidate)[0].dtype.kind in "ui":
            return 0.0
        error = self.error(pair)
        if error is None:
            return float("inf")
        # The candidate's own values are rounded too, where the reference's are zero.
        theirs = self.unit * rms(self._candidate.values(pair.candidate)[0]) / 4
        return error[1] / max(self.rounding_error(pair.reference), theirs)
