"""Which of several points are worth having, if less is better on every axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def front(points: Mapping[str, Sequence[float]]) -> frozenset[str]:
    """Names of the points on the Pareto front: none is as good on all axes and better on one."""
    return frozenset(
        name
        for name, point in points.items()
        if not any(dominates(other, point) for other in points.values())
    )


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether a point is as small as another on all axes, and smaller on one."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)
