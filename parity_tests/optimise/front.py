"""Which candidates are worth having, and which one fits best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agecompact.bench import pareto
from agecompact.errors import GateError

Cost = Literal["instructions", "bytes"]


@dataclass(frozen=True)
class Row:
    """A candidate, measured. Unknown is None.

    Attributes:
        name: Its name.
        bytes: Size of its artefact.
        p99: 99th percentile of its error.
        mean: Mean of its error.
        mae_cost: By how much its mean absolute error on labels exceeds that of the weights.
        instructions: Instructions of one inference.
        note: Why something is unknown, or what its figures do not cover.
    """

    name: str
    bytes: int | None = None
    p99: float | None = None
    mean: float | None = None
    mae_cost: float | None = None
    instructions: int | None = None
    note: str = ""


_AXES: Mapping[str, Callable[[Row], float | None]] = {
    "p99": lambda row: row.p99,
    "instructions": lambda row: row.instructions,
    "bytes": lambda row: row.bytes,
}


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost in accuracy; None for no limit.

    Attributes:
        p99: Greatest 99th percentile of the error.
        mae_cost: Greatest growth of the mean absolute error.
    """

    p99: float | None = None
    mae_cost: float | None = None

    def excess(self, row: Row) -> float:
        """How far the worst figure of a row is beyond its limit, as a share of the limit.

        0 within the limits; infinite where a figure with a limit is unknown.
        """
        pairs = ((row.p99, self.p99), (row.mae_cost, self.mae_cost))
        return max((_beyond(v, limit) for v, limit in pairs if limit is not None), default=0.0)


def _beyond(value: float | None, limit: float) -> float:
    if value is None:
        return float("inf")
    # A limit of 0 has no share.
    return max(0.0, (value - limit) / (limit or 1.0))


def axes(rows: Sequence[Row]) -> tuple[str, ...]:
    """The axes that some row has a figure on."""
    return tuple(name for name, of in _AXES.items() if any(of(row) is not None for row in rows))


def front(rows: Sequence[Row]) -> frozenset[str]:
    """Names of the rows on the Pareto front: no other row is as good on all axes and better on one.

    A row without a figure on an axis that others have one on is not on the front.
    """
    return pareto.front({row.name: [of(row) for of in _AXES.values()] for row in rows})


def choose(rows: Sequence[Row], limits: Limits, minimise: Cost) -> Row:
    """The row within the limits that costs least; of equal ones, the smaller, then the nearer one.

    Raises:
        GateError: No row whose cost is known is within the limits.
    """
    cost = _AXES[minimise]
    priced = [row for row in rows if cost(row) is not None]
    within = [row for row in priced if limits.excess(row) == 0.0]
    if within:
        return min(within, key=lambda row: (cost(row), row.bytes, row.p99 or 0.0))
    raise GateError(
        "no candidate is within the limits",
        why=_nearest(priced, limits) or f"the {minimise} of none are known",
        fix="allow more, or add candidates: int8 needs --calibration FOLDER",
    )


def _nearest(rows: Sequence[Row], limits: Limits) -> str:
    """What comes nearest to the limits, and by which figures it misses them."""
    if not rows:
        return ""
    nearest = min(rows, key=limits.excess)
    figures = (("p99", nearest.p99, limits.p99), ("MAE cost", nearest.mae_cost, limits.mae_cost))
    missed = [
        f"its {name} is {'unknown' if value is None else f'{value:.3g}'}, the limit is {limit:g}"
        for name, value, limit in figures
        if limit is not None and (value is None or value > limit)
    ]
    return f"{nearest.name} comes nearest: {'; '.join(missed)}"
