"""The candidates as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agecompact.tables import Column, Table
from parity_tests.optimise.front import Row, axes, front

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Subject:
    """What was measured, for headings.

    Attributes:
        model: Registered id.
        output: Name of the output.
        unit: Unit of its answers.
        faces: The faces, in words.
        place: Where instructions were counted; None if they are not.
    """

    model: str
    output: str
    unit: str
    faces: str
    place: str | None


def table(rows: Sequence[Row], subject: Subject) -> Table:
    """A row for each candidate."""
    best, largest = front(rows), max((row.bytes or 0 for row in rows), default=0)
    columns = (
        Column("candidate", "name"),
        Column("front", "name"),
        Column("bytes", "number"),
        Column("of the largest", "number", rank=2),
        Column("instructions", "number"),
        Column("p99", "number"),
        Column("mean", "number", rank=1),
        Column("MAE cost", "number"),
    )
    cells = tuple(
        (
            row.name,
            "yes" if row.name in best else "",
            _text(row.bytes, ","),
            _text(row.bytes and row.bytes / largest, ".0%"),
            _text(row.instructions and row.instructions / 1e6, ",.2f", " M"),
            _text(row.p99, ".2g"),
            _text(row.mean, ".2g"),
            _text(row.mae_cost, "+.3f"),
        )
        for row in rows
    )
    caption = (
        f"errors against the weights, in {subject.unit}, on {subject.faces}\n"
        "front: no other candidate is as good in all of "
        f"{', '.join(axes(rows)) or 'nothing'}, and better in one"
    )
    title = f"{subject.model}: {subject.output}"
    title += f"; instructions on {subject.place}" if subject.place else ""
    return Table(columns, cells, title, caption)


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each candidate that needs one."""
    yield from (f"{row.name}: {row.note}" for row in rows if row.note)


def as_json(rows: Sequence[Row], subject: Subject, chosen: Row | None) -> dict[str, Any]:
    """The result of a run."""
    best = front(rows)
    return {
        "schema_version": SCHEMA_VERSION,
        **asdict(subject),
        "axes": list(axes(rows)),
        "candidates": [{**asdict(row), "front": row.name in best} for row in rows],
        "chosen": chosen.name if chosen else None,
    }


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
