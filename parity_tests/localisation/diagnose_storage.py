"""Diagnoses of tensors that are stored in fewer bits: quantised, or cast to float16."""

from __future__ import annotations

import numpy as np

from agecompact.precisions import PRECISIONS
from parity_tests.localisation.context import Diagnosis, FaultContext
from parity_tests.localisation.opkinds import STORE, kind_of
from parity_tests.localisation.recompute import Values

# More levels than this are not taken for quantisation: 16 bits are the most that is stored in
# steps.
_MOST_LEVELS = 2**16
# How far float32 may move the greatest multiple of a step, relative to the step.
_OFF_LATTICE = 0.02
# No value is off by this many times the RMS error of rounding.
_NOISE = 16
# A value this far beyond the ends, of the range's width, is clipped if it is at one; so are most of
# them, and they are more than a few.
_SLACK, _MOST_OF, _LEAST_CLIPPED = 0.05, 0.9, 1e-3
_HALF_UNIT = PRECISIONS["float16"].rounding_unit
# Half of the least positive number of float16.
_HALF_LEAST = 2.0**-25


def quantised(context: FaultContext) -> Diagnosis | None:
    """Every value is the nearest multiple of one step, or the end of a range if beyond it.

    Restoring with another tensor's scale or zero point gives neither and is not diagnosed.
    """
    got, right = context.candidate, context.reference
    if got is None or not _stores(context.candidate_op) or (step := _step(got)) is None:
        return None
    low, high = float(got.min()), float(got.max())
    reach = step / 2 * (1 + _OFF_LATTICE) + _NOISE * context.rounding
    if np.abs(got - np.clip(right, low, high)).max() > reach:
        return None
    beyond = (right > high + reach) | (right < low - reach)
    if beyond.any():
        return _clipped(right, low, high, float(beyond.mean()))
    ends = f"{right.min():.4g}..{right.max():.4g}"
    steps = round((high - low) / step)
    return Diagnosis("quantisation step", f"rounded to steps of {step:.4g}, {steps} of {ends}")


def saturated(context: FaultContext) -> Diagnosis | None:
    """Of a layer that was solved anew, what is beyond a range is at its end."""
    got, right = context.candidate, context.reference
    if got is None or not context.is_solved or not _stores(context.candidate_op):
        return None
    low, high = float(got.min()), float(got.max())
    reach = (high - low) * _SLACK
    above, below = right > high + reach, right < low - reach
    beyond = above | below
    at_end = (above & (got == high)) | (below & (got == low))
    if beyond.mean() < _LEAST_CLIPPED or at_end.sum() < _MOST_OF * beyond.sum():
        return None
    return _clipped(right, low, high, float(beyond.mean()))


def _clipped(right: Values, low: float, high: float, share: float) -> Diagnosis:
    ends = f"{right.min():.4g}..{right.max():.4g}"
    ranges = f"it keeps within {low:.4g}..{high:.4g}, the tensor reaches {ends}"
    return Diagnosis(
        "quantisation clipped range", f"{ranges}: {share:.1%} of the values are clipped"
    )


def narrowed(context: FaultContext) -> Diagnosis | None:
    """Every value is the nearest one in float16."""
    got, right = context.candidate, context.reference
    if got is None or kind_of(context.candidate_op) != STORE:
        return None
    reach = _HALF_UNIT * np.abs(right) + _HALF_LEAST + _NOISE * context.rounding
    if (got != got.astype(np.float16)).any() or (np.abs(got - right) > reach).any():
        return None
    return Diagnosis("narrowed to float16", "every value is the nearest float16 number")


def _stores(op: str) -> bool:
    # Runtimes of quantised tensors append the type in brackets, whatever else the op does.
    return kind_of(op) == STORE or "[" in op


def _step(values: Values) -> float | None:
    """The step that all values are multiples of; None if there is none."""
    levels = np.unique(values)
    if not 2 <= len(levels) <= _MOST_LEVELS or not np.isfinite(levels).all():
        return None
    step = float(np.diff(levels).min())
    most = float(np.abs(levels).max())
    if most > _MOST_LEVELS * step:
        return None
    # Float32 rounds great levels the most, so the step is refined from the small ones on.
    for level in np.sort(np.abs(levels)):
        if times := round(level / step):
            step = float(level) / times
    multiples = levels / step
    return step if np.abs(multiples - np.round(multiples)).max() < _OFF_LATTICE else None


TESTS = (quantised, saturated, narrowed)
