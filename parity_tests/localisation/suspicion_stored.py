"""Suspicions about tensors that are stored in fewer bits: quantised, or cast to float16."""

from __future__ import annotations

import numpy as np

from parity_tests.localisation.opkinds import STORE, kind_of
from parity_tests.localisation.recompute import Values
from parity_tests.localisation.scene import Finding, Scene

# The finest storage in steps of one size that is taken for such: that of 16 bits.
_MOST_LEVELS = 2**16
# Of a step, what float32 may move the highest of so many multiples of it.
_OFF_LATTICE = 0.02
# As often what rounding alone moves a value by, in RMS, no value is moved.
_NOISE = 16
_HALF_UNIT = 2.0**-11
_HALF_LEAST = 2.0**-25


def quantised(scene: Scene) -> Finding | None:
    """Every value the nearest multiple of one step, or the end of their range where it is beyond.

    What a scale or zero point of another tensor would make is neither, and stays unsaid.
    """
    got, right = scene.candidate, scene.reference
    if got is None or not _stores(scene.candidate_op) or (step := _step(got)) is None:
        return None
    low, high = float(got.min()), float(got.max())
    reach = step / 2 * (1 + _OFF_LATTICE) + _NOISE * scene.rounding
    if np.abs(got - np.clip(right, low, high)).max() > reach:
        return None
    beyond = (right > high + reach) | (right < low - reach)
    ends = f"{right.min():.4g}..{right.max():.4g}"
    if beyond.any():
        told = f"it keeps within {low:.4g}..{high:.4g}, the tensor reaches {ends}"
        share = f"{beyond.mean():.1%} of the values are clipped"
        return Finding("quantisation clipped range", f"{told}: {share}")
    steps = round((high - low) / step)
    return Finding("quantisation step", f"rounded to steps of {step:.4g}, {steps} of {ends}")


def narrowed(scene: Scene) -> Finding | None:
    """Every value the nearest that float16 holds."""
    got, right = scene.candidate, scene.reference
    if got is None or kind_of(scene.candidate_op) != STORE:
        return None
    reach = _HALF_UNIT * np.abs(right) + _HALF_LEAST + _NOISE * scene.rounding
    if (got != got.astype(np.float16)).any() or (np.abs(got - right) > reach).any():
        return None
    return Finding("narrowed to float16", "every value is one that float16 holds, the nearest")


def _stores(op: str) -> bool:
    # Runtimes of quantised tensors name the type in brackets, whatever the op does besides.
    return kind_of(op) == STORE or "[" in op


def _step(values: Values) -> float | None:
    """The step of which all values are multiples; None where there is none."""
    levels = np.unique(values)
    if not 2 <= len(levels) <= _MOST_LEVELS or not np.isfinite(levels).all():
        return None
    step = float(np.diff(levels).min())
    most = float(np.abs(levels).max())
    if most > _MOST_LEVELS * step:
        return None
    # High levels are rounded the most in float32, so the step is refined from the low ones on.
    for level in np.sort(np.abs(levels)):
        if times := round(level / step):
            step = float(level) / times
    multiples = levels / step
    return step if np.abs(multiples - np.round(multiples)).max() < _OFF_LATTICE else None


TESTS = (quantised, narrowed)
