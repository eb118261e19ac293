"""What a unit's values mean: how far answers go, and how far apart two of them are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Values = npt.NDArray[np.float64]

# Beyond the span, distances count less and less: as much as inside it at its edges, half as much a
# tenth of a span outside.
_BEYOND = 10.0
# The ages that the released networks give to one face in light, in shadow, turned and blurred have
# a standard deviation of about a tenth of the span.
_SPREADS_PER_SPAN = 10.0
# Ends of the span of an unknown unit, as shares of it.
_BELOW, _ABOVE = 0.2, 1.2
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Span:
    """The values of a unit.

    Attributes:
        width: The sensible values are `origin` to `origin + width`.
        low: Answers are not driven lower than this.
        high: Answers are not driven higher than this.
        origin: The lowest sensible value.
    """

    width: float
    low: float
    high: float
    origin: float = 0.0

    def scale(self, answers: _Values) -> _Values:
        """By how much rounding grows with an answer: not at all within the span.

        It grows with the square, as in a quotient whose divisor nears 0: the quotient grows, and so
        does the share of it that the divisor's rounding costs.
        """
        scale: _Values = np.maximum(np.abs(answers - self.origin) / self.width, 1.0) ** 2
        return scale

    def place(self, answers: _Values) -> _Values:
        """Answers on an axis where the sensible values are 0 to 1, and others are compressed."""
        shares = (answers - self.origin) / self.width
        within = np.clip(shares, 0.0, 1.0)
        beyond = shares - within
        place: _Values = within + np.sign(beyond) * np.log1p(_BEYOND * np.abs(beyond)) / _BEYOND
        return place


# On 1,500 real faces, the released age networks output -5 to 111 years and the gender network -0.1
# to 11. SSR-Net divides, so that a few grey levels more take it to a million years. Angles of a
# head are within a quarter turn to both sides.
SPANS: Mapping[str, Span] = {
    "years": Span(100.0, -20.0, 115.0),
    "score": Span(1.0, -0.5, 12.0),
    "degrees": Span(180.0, -99.0, 99.0, origin=-90.0),
}


def spans_of(unit: str, faces: _Values) -> tuple[Span, ...]:
    """The span of each value of an output.

    A unit that is not known says nothing about its values, so its span comes from the spread of the
    reference's answers over faces. All values of one output have spans of one width.

    Args:
        unit: Unit of the answers.
        faces: The reference's answers for faces, `(faces, values)`.
    """
    count = faces.shape[1]
    if unit in SPANS:
        return tuple(SPANS[unit] for _ in range(count))
    greatest, spread = float(np.abs(faces).max()), float(faces.std(axis=0).max())
    # Of an output that is constant up to rounding, the spread says nothing. It is refused later.
    constant = spread <= _ROUNDING * greatest
    width = (greatest or 1.0) if constant else _SPREADS_PER_SPAN * spread
    middles: list[float] = faces.mean(axis=0).tolist()
    return tuple(
        Span(
            width,
            low=middle - width * (0.5 + _BELOW),
            high=middle + width * (_ABOVE - 0.5),
            origin=middle - width / 2,
        )
        for middle in middles
    )
