"""What a report says, whatever it is written as: text, grids, charts and listings, in sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agecompact.report.verdict import Verdict
from agecompact.tables import Column

# The text of an unknown figure.
DASH = "-"


@dataclass(frozen=True)
class Cell:
    """A cell of a grid.

    Attributes:
        text: What it shows.
        value: What it is sorted by; None to sort by the text.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        caption: What its rows are.
        columns: The columns; the first names the row.
        rows: A cell for each column.
        sortable: Whether another order of the rows would tell anything.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True


@dataclass(frozen=True)
class Chart:
    """A picture of what a grid of the same section has in figures.

    Attributes:
        title: What it shows.
        description: What to see in it, for those who cannot.
        spec: How to draw it, in Vega-Lite.
    """

    title: str
    description: str
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """Lines to show as they are.

    Attributes:
        title: What they are.
        text: A sentence about them.
        lines: The lines; none if the sentence says it all.
    """

    title: str
    text: str
    lines: tuple[str, ...] = ()


Part = Grid | Chart | Listing


@dataclass(frozen=True)
class Section:
    """A part of a report with a heading.

    Attributes:
        anchor: Its name in links.
        title: Its heading.
        text: Sentences below the heading: what the figures mean, or how to get those that are
            missing.
        parts: What follows, in order.
    """

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        title: Its title.
        verdict: Whether the artefacts give PyTorch's answers.
        sections: The rest, in order.
    """

    title: str
    verdict: Verdict
    sections: tuple[Section, ...]


def number(value: float | None, form: str, unit: str = "") -> Cell:
    """A figure as a cell; a dash if it is unknown."""
    return Cell(DASH) if value is None else Cell(f"{value:{form}}{unit}", float(value))


def known_grid(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Grid:
    """A grid without the columns in which no row has anything."""
    made = [tuple(row) for row in rows]
    kept = [i for i in range(len(columns)) if any(row[i].text not in ("", DASH) for row in made)]
    return Grid(
        caption,
        tuple(columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in made),
    )
