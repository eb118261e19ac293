"""What is observed of an output that no cause explains: a description, not a cause."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from parity_tests.localisation.context import FaultContext, Hypothesis, channels_text
from parity_tests.localisation.opkinds import AFFINE, NORM, POOL, REDUCE
from parity_tests.localisation.recompute import along, per_channel, scale_and_shift

Flags = npt.NDArray[np.bool_]

# What these observations are called. None is a cause.
CAUSES = frozenset(
    {
        "scaled",
        "shifted",
        "pooling divisor",
        "clipped",
        "quantisation clipped range",
        "channels shifted",
        "channels scaled and shifted",
        "some channels differ",
    }
)

# A channel agrees if its error is below this many times that of rounding.
_AGREES = 16
# A scale or shift smaller than this is not worth a word.
_NOTHING = 1e-5
# Values that differ, beyond as many as are fitted, without which a fit says nothing.
_SPARE = 2


def scaled(context: FaultContext) -> Iterator[Hypothesis]:
    """One number multiplies every value, or is added to it."""
    got, right = context.candidate, context.reference
    if got is None or not _enough(context, 1):
        return
    factor = float((got * right).sum() / max(np.square(right).sum(), 1e-300))
    if abs(factor - 1) > _NOTHING:
        cause = "pooling divisor" if context.kind in (POOL, REDUCE) else "scaled"
        evidence = f"every value is multiplied by {factor:.6g}"
        yield Hypothesis(cause, evidence, factor * right, fitted=1)
    offset = float((got - right).mean())
    if abs(offset) > _NOTHING * np.abs(right).max():
        evidence = f"{offset:.6g} is added to every value"
        yield Hypothesis("shifted", evidence, right + offset, fitted=1)


def clipped(context: FaultContext) -> Iterator[Hypothesis]:
    """The values are equal inside a range, and at its bounds outside it."""
    got = context.candidate
    if got is None or not _enough(context, 2):
        return
    low, high = float(got.min()), float(got.max())
    # The greatest value of all differs by its rounding, which is no clip.
    slack = _AGREES * context.rounding
    above, below = context.reference > high + slack, context.reference < low - slack
    outside = above | below
    if not outside.mean() > 1e-3 or outside.all():
        return
    cause = "quantisation clipped range" if "[" in context.candidate_op else "clipped"
    evidence = f"clipped to {_bounds(low, high, below, above)}: {outside.mean():.1%} of the values"
    made = np.clip(
        context.reference, low if below.any() else -np.inf, high if above.any() else np.inf
    )
    yield Hypothesis(cause, evidence, made, fitted=2)


def _bounds(low: float, high: float, below: Flags, above: Flags) -> str:
    """The bounds in words, without one that no value of the reference is beyond."""
    if not below.any():
        return f"at most {high:.4g}"
    return f"{low:.4g}..{high:.4g}" if above.any() else f"at least {low:.4g}"


def channels_scaled(context: FaultContext) -> Iterator[Hypothesis]:
    """Each channel is scaled and shifted."""
    got, right = context.candidate, context.reference
    if got is None or got.ndim < 3 or per_channel(right).shape[1] < 2 + _SPARE:
        return
    if not np.ptp(per_channel(right), axis=1).all():
        return
    count = right.shape[2]
    shift = (per_channel(got) - per_channel(right)).mean(1)
    evidence = f"{_moved(context, shift)} shifted by up to {np.abs(shift).max():.4g}"
    yield Hypothesis("channels shifted", evidence, right + along(shift, right), fitted=count)
    scale, shift = scale_and_shift(right, got)
    made = along(scale, right) * right + along(shift, right)
    evidence = f"channels are scaled by {scale.min():.4g} to {scale.max():.4g} and shifted"
    yield Hypothesis("channels scaled and shifted", evidence, made, fitted=2 * count)


def some_channels(context: FaultContext) -> Iterator[Hypothesis]:
    """Some output channels differ, and the rest agree to the last bits."""
    got, op = context.candidate, context.last_of(AFFINE, NORM)
    if got is None or op is None or got.ndim < 3:
        return
    error = np.sqrt(np.square(per_channel(got - context.reference)).mean(1))
    differ = np.flatnonzero(error > _AGREES * context.rounding)
    if 0 < differ.size < error.size:
        which = channels_text(differ, error.size)
        made = context.reference.copy()
        made[:, :, differ] = got[:, :, differ]
        evidence = f"{which} disagree, the rest agree"
        yield Hypothesis("some channels differ", evidence, made, op.scope, fitted=got.size)


def _moved(context: FaultContext, shift: np.ndarray) -> str:
    return channels_text(np.flatnonzero(np.abs(shift) > _AGREES * context.rounding), len(shift))


def _enough(context: FaultContext, fitted: int) -> bool:
    """Whether the output has enough different values to fit some numbers to."""
    return len(np.unique(context.reference)) >= fitted + _SPARE


TESTS = (scaled, clipped, channels_scaled, some_channels)
