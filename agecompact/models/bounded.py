"""Outputs bounded by a sigmoid: minimum + (maximum - minimum) * sigmoid(logit)."""

from __future__ import annotations

import math

# At its bounds, and beyond, the sigmoid is too flat for training to leave them.
_LEAST_SHARE = 0.02


def logit_of(value: float, minimum: float, maximum: float) -> float:
    """Returns the logit that gives an output, moved 2 % of the range inside the bounds."""
    share = (value - minimum) / (maximum - minimum)
    share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
    return math.log(share / (1 - share))
