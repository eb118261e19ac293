"""What localisation found: records, as JSON and as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

SCHEMA_VERSION = 1

_MOST_ROWS = 12
_BEFORE = 4
_WIDEST = 44
_HEADINGS = ("", "reference", "candidate", "max error", "relative", "x rounding", "inputs")


@dataclass(frozen=True)
class Row:
    """One tensor of the reference and its counterpart.

    Attributes:
        scope: Path of the module that wrote it; empty where the reference tells none.
        op: The reference's op.
        tensor: Its name in the reference.
        covers: Ops that the counterpart does at once, oldest first: `conv2d`, `batch_norm`, `relu`.
        candidate_op: The counterpart's op.
        candidate_tensor: Its name in the candidate.
        matched_by: `name`, `value` or `place`.
        max_abs: Greatest absolute error, in the tensor's unit; None where shapes or NaN forbid it.
        relative: RMS error in units of the reference's spread; None likewise.
        ratio: RMS error in units of what rounding makes here; infinite likewise.
        inputs_ratio: The greatest ratio of the tensors that it is computed from; 0 of an input.
    """

    scope: str
    op: str
    tensor: str
    covers: tuple[str, ...]
    candidate_op: str
    candidate_tensor: str
    matched_by: str
    max_abs: float | None
    relative: float | None
    ratio: float
    inputs_ratio: float


@dataclass(frozen=True)
class Birth:
    """The op where an error is born.

    Attributes:
        row: Index of its row.
        scope: Path of the module at fault; of an op outside any module, empty.
        op: The reference's op.
        candidate_op: The candidate's op.
        candidate_tensor: The tensor that it wrote.
        suspicion: What is suspected; `unknown` where no test speaks.
        evidence: What bears it out; empty where unknown.
    """

    row: int
    scope: str
    op: str
    candidate_op: str
    candidate_tensor: str
    suspicion: str
    evidence: str


@dataclass(frozen=True)
class Localisation:
    """What became of every tensor.

    Attributes:
        precision: Of the candidate.
        rows: In the reference's order.
        born_at: Where the error is born; None where no single op can be accused.
        most: Index of the row whose op adds the most to the error that it reads.
        summary: All of it in one sentence.
    """

    precision: str
    rows: tuple[Row, ...]
    born_at: Birth | None
    most: int
    summary: str


def as_json(localisation: Localisation) -> dict[str, Any]:
    """JSON values: the fields, a schema version, and `lines`; what is infinite becomes null."""
    content = asdict(localisation)
    for row in content["rows"]:
        for key in ("ratio", "inputs_ratio"):
            row[key] = row[key] if isfinite(row[key]) else None
    return {"schema_version": SCHEMA_VERSION, **content, "lines": lines(localisation)}


def lines(localisation: Localisation) -> list[str]:
    """The summary, then a table of at most 12 rows around the birth.

    Figures: the greatest error in the tensor's unit, the RMS error in units of the tensor's spread
    and in units of what rounding makes there, and that last one of what the op reads.
    """
    birth = localisation.born_at
    centre = localisation.most if birth is None else birth.row
    first = max(0, min(centre - _BEFORE, len(localisation.rows) - _MOST_ROWS))
    shown = localisation.rows[first : first + _MOST_ROWS]
    table = [_HEADINGS] + [
        _cells(row, ">" if first + place == centre else "") for place, row in enumerate(shown)
    ]
    return [localisation.summary, *_aligned(table)]


def _cells(row: Row, mark: str) -> tuple[str, ...]:
    name = f"{row.scope} {'+'.join(row.covers)}".strip()
    return (
        mark,
        _short(name),
        _short(f"{row.candidate_op} {row.candidate_tensor}"),
        "-" if row.max_abs is None else f"{row.max_abs:.1e}",
        "-" if row.relative is None else f"{row.relative:.1e}",
        f"{row.ratio:.1f}" if isfinite(row.ratio) else "inf",
        f"{row.inputs_ratio:.1f}" if isfinite(row.inputs_ratio) else "inf",
    )


def _short(text: str) -> str:
    """Text cut in its middle: of a tensor's name, both ends tell something."""
    if len(text) <= _WIDEST:
        return text
    half = (_WIDEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
