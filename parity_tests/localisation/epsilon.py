"""Which epsilon of a batch norm explains how its channels are stretched, and how well it is known.

A batch norm of variance v with the epsilon f for e stretches a channel by sqrt((v + e) / (v + f)).
A stretch that is known to a part in a million tells f to within 2e-6 (v + e): where the variances
are large, 1e-5 and 0 look the same, and neither is stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity_tests.localisation.recompute import Values

_USUAL = (1e-2, 1e-3, 2e-5, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)
# Standard errors within which the epsilon lies.
_SIGMAS = 4.0
# No network has a greater one.
_GREATEST = 0.1


@dataclass(frozen=True)
class Epsilon:
    """The epsilons that explain a stretch.

    Attributes:
        right: The reference's.
        low: The least.
        high: The greatest.
    """

    right: float
    low: float
    high: float

    def __str__(self) -> str:
        """The usual value among them, if there is one, or else their limits."""
        usual = [value for value in _USUAL if self.low <= value <= self.high]
        if len(usual) == 1:
            found = f"{usual[0]:g}"
        elif self.low <= 0:
            found = f"below {self.high:.2g}"
        else:
            found = f"{self.low:.3g} to {self.high:.3g}"
        return f"{found}, {self.right:g} in the reference"


def explain(stretch: Values, known: Values, variance: Values, right: float) -> Epsilon | None:
    """The epsilons that explain the stretch of every channel.

    Args:
        stretch: Of each channel; 1 is the reference's.
        known: Standard error of each stretch.
        variance: Running variance of each channel.
        right: The reference's epsilon.

    Returns:
        None if no epsilon explains all channels, or the reference's does.
    """
    if (stretch <= 0).any() or not np.isfinite(known).all():
        return None
    found = (variance + right) / stretch**2 - variance
    error = 2 * known * (variance + right) / stretch**3
    weights = 1 / np.square(error)
    mean = float((weights * found).sum() / weights.sum())
    deviation = float(1 / np.sqrt(weights.sum()))
    low, high = mean - _SIGMAS * deviation, mean + _SIGMAS * deviation
    consistent = (np.abs(found - mean) <= _SIGMAS * error).all()
    if not consistent or low <= right <= high or high < 0 or low > _GREATEST:
        return None
    return Epsilon(right, low, high)
