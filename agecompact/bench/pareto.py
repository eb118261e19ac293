"""Which of several points are worth having, if less is better on every axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def front(points: Mapping[str, Sequence[float | None]]) -> frozenset[str]:
    """Names of the points on the Pareto front: none is as good on all axes and better on one.

    An axis on which nothing is known does not count. A point without a figure on an axis that
    others have one on is not on the front.
    """
    columns = zip(*points.values(), strict=True)
    used = [place for place, column in enumerate(columns) if any(v is not None for v in column)]
    known: dict[str, tuple[float, ...]] = {}
    for name, point in points.items():
        values = tuple(v for v in (point[place] for place in used) if v is not None)
        if used and len(values) == len(used):
            known[name] = values
    return frozenset(
        name
        for name, point in known.items()
        if not any(dominates(other, point) for other in known.values())
    )


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether a point is as small as another on all axes, and smaller on one."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)
