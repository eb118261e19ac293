"""The result of localisation, as JSON and as plain text."""

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
class TensorComparison:
    """One tensor of the reference and its counterpart.

    Attributes:
        scope: Path of the module that wrote it; empty if the reference does not report it.
        op: The reference's op.
        tensor: Its name in the reference.
        covers: Ops that the counterpart combines, oldest first: `conv2d`, `batch_norm`, `relu`.
        candidate_op: The counterpart's op.
        candidate_tensor: Its name in the candidate.
        matched_by: `name`, `value` or `place`.
        max_abs: Greatest absolute error, in the tensor's unit; None if the shapes differ or the
            candidate is not finite.
        relative: RMS error relative to the reference's standard deviation; None likewise.
        ratio: RMS error relative to the error that rounding causes here; infinite likewise.
        inputs_ratio: Greatest ratio of the tensors that it is computed from; 0 for an input.
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
class FaultOrigin:
    """The op where an error originates.

    Attributes:
        row: Index of its row.
        scope: Path of the module at fault; empty for an op outside any module.
        op: The reference's op.
        candidate_op: The candidate's op.
        candidate_tensor: The tensor that it wrote.
        cause: The diagnosis; `unknown` if none fits.
        evidence: What supports the diagnosis; empty if it is unknown.
    """

    row: int
    scope: str
    op: str
    candidate_op: str
    candidate_tensor: str
    cause: str
    evidence: str


@dataclass(frozen=True)
class Localisation:
    """The comparison of all tensors.

    Attributes:
        precision: Precision of the candidate.
        rows: The compared tensors, in the reference's order.
        origin: Where the error originates; None if no single op is to blame.
        greatest_increase: Index of the row whose op adds the most to the error of its inputs.
        summary: The result in one sentence.
    """

    precision: str
    rows: tuple[TensorComparison, ...]
    origin: FaultOrigin | None
    greatest_increase: int
    summary: str


def as_json(localisation: Localisation) -> dict[str, Any]:
    """JSON values: the fields, a schema version, and `lines`; infinity becomes null."""
    rows = [asdict(row) for row in localisation.rows]
    for row in rows:
        for key in ("ratio", "inputs_ratio"):
            row[key] = row[key] if isfinite(row[key]) else None
    origin = None
    if localisation.origin is not None:
        origin = asdict(localisation.origin)
        origin["suspicion"] = origin.pop("cause")
    return {
        "schema_version": SCHEMA_VERSION,
        "precision": localisation.precision,
        "rows": rows,
        "born_at": origin,
        "most": localisation.greatest_increase,
        "summary": localisation.summary,
        "lines": lines(localisation),
    }


def lines(localisation: Localisation) -> list[str]:
    """The summary, then a table of at most 12 rows around the origin.

    The figures are the greatest error in the tensor's unit; the RMS error relative to the tensor's
    standard deviation, and relative to the error of rounding; and the latter for the op's inputs.
    """
    origin = localisation.origin
    centre = localisation.greatest_increase if origin is None else origin.row
    first = max(0, min(centre - _BEFORE, len(localisation.rows) - _MOST_ROWS))
    shown = localisation.rows[first : first + _MOST_ROWS]
    table = [_HEADINGS] + [
        _cells(row, ">" if first + place == centre else "") for place, row in enumerate(shown)
    ]
    return [localisation.summary, *_aligned(table)]


def _cells(row: TensorComparison, mark: str) -> tuple[str, ...]:
    return (
        mark,
        _short(f"{row.scope} {'+'.join(row.covers)}".strip()),
        _short(f"{row.candidate_op} {row.candidate_tensor}"),
        "-" if row.max_abs is None else f"{row.max_abs:.1e}",
        "-" if row.relative is None else f"{row.relative:.1e}",
        f"{row.ratio:.1f}",
        f"{row.inputs_ratio:.1f}",
    )


def _short(text: str) -> str:
    """Cuts a long text in the middle: both ends of a tensor's name are informative."""
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
