"""What a unit's values mean: how far outputs go, and how far apart two of them are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.contract import Unit

_Values = npt.NDArray[np.float64]

# Beyond the span, distances count less and less: as much as inside it at its edges, half as much a
# tenth of a span outside.
_BEYOND = 10.0


@dataclass(frozen=True)
class Span:
    """The values of a unit.

    Attributes:
        width: The sensible values are 0 to `width`.
        low: Outputs are not driven lower than this.
        high: Outputs are not driven higher than this.
    """

    width: float
    low: float
    high: float

    def scale(self, outputs: _Values) -> _Values:
        """By how much rounding grows with an output: not at all within `width`.

        It grows with the square, as in a quotient whose divisor nears 0: the quotient grows, and so
        does the share of it that the divisor's rounding costs.
        """
        scale: _Values = np.maximum(np.abs(outputs) / self.width, 1.0) ** 2
        return scale

    def place(self, outputs: _Values) -> _Values:
        """Outputs on an axis where the sensible values are 0 to 1, and others are compressed."""
        within = np.clip(outputs / self.width, 0.0, 1.0)
        beyond = outputs / self.width - within
        place: _Values = within + np.sign(beyond) * np.log1p(_BEYOND * np.abs(beyond)) / _BEYOND
        return place


# On 1,500 real faces, the released age networks output -5 to 111 years and the gender network -0.1
# to 11. SSR-Net divides, so that a few grey levels more take it to a million years.
SPANS: Mapping[Unit, Span] = {"years": Span(100.0, -20.0, 115.0), "score": Span(1.0, -0.5, 12.0)}
