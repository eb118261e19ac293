"""The result of localisation, as JSON and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from math import isfinite
from typing import Any

from agecompact.tables import Column, Table
from parity_tests.localisation.context import Diagnosis
from parity_tests.localisation.opkinds import INPUT
from parity_tests.localisation.origin import VISIBLE

SCHEMA_VERSION = 3

_MOST_ROWS = 12
_BEFORE = 4
_WIDEST = 44
_WIDTH = 160
_COLUMNS = (
    Column("  reference", "name"),
    Column("candidate", "name", rank=1),
    Column("x rounding", "number"),
    Column("inputs", "number", rank=1),
    Column("max error", "number", rank=2),
    Column("relative", "number", rank=2),
)


@dataclass(frozen=True)
class Cost:
    """What an op costs the answers, RMS over the samples, in their unit.

    Attributes:
        own: How far they move once the float network, which has the candidate's tensors up to
            here, has this op's as well.
        in_int8: How far this op alone moves them if it computes in int8 as well as it can; None if
            it was not looked at, because its own cost is a small part of all.
        total: Their error with all of the candidate's tensors up to here.
    """

    own: float
    in_int8: float | None
    total: float


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
        cost: What the op costs the answers; None in a file that is not calibrated. If there is
            one, the errors above are the op's own: of what it makes of the candidate's tensors,
            the factors of equalised channels removed, relative to what PyTorch makes of the same;
            and the ratios are 0.
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
    cost: Cost | None = None


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
        unit: Of the costs; empty if the rows have none.
    """

    precision: str
    rows: tuple[TensorComparison, ...]
    origin: FaultOrigin | None
    greatest_increase: int
    summary: str
    unit: str = ""

    @property
    def disagrees(self) -> bool:
        """Whether the outputs differ by more than rounding costs."""
        if self.unit:
            return self.origin is not None
        return self.rows[-1].ratio > VISIBLE


def blame_contract(
    found: Localisation, corrected: Localisation, differences: Sequence[str]
) -> Localisation:
    """What to report of a candidate whose contract differs from the reference's.

    Args:
        found: The comparison, with the candidate's own contract.
        corrected: The comparison once the candidate reads what the reference reads.
        differences: Between the contracts.

    Returns:
        `found`, originating at the first input, if the error is gone with the right contract or
        originates elsewhere then.
    """
    place = next(i for i, row in enumerate(found.rows) if row.op == INPUT)
    place = max(
        (i for i, row in enumerate(found.rows) if row.op == INPUT),
        key=lambda i: found.rows[i].ratio,
        default=place,
    )
    row = found.rows[place]
    evidence = "; ".join(differences)
    if corrected.disagrees:
        evidence += f"; with the right contract, {corrected.summary}"
    origin = FaultOrigin(
        place, "", row.op, row.candidate_op, row.candidate_tensor, "contract", evidence
    )
    return replace(found, origin=origin, greatest_increase=place, summary=summary_of(origin))


def origin_of(place: int, row: TensorComparison, diagnosis: Diagnosis) -> FaultOrigin:
    """The op of a row, with what is wrong with it.

    Args:
        place: Index of the row.
        row: The row.
        diagnosis: Its scope, if it has one, takes the place of the row's.
    """
    return FaultOrigin(
        row=place,
        scope=row.scope if diagnosis.scope is None else diagnosis.scope,
        op=row.op,
        candidate_op=row.candidate_op,
        candidate_tensor=row.candidate_tensor,
        cause=diagnosis.cause,
        evidence=diagnosis.evidence,
    )


def summary_of(origin: FaultOrigin) -> str:
    """The origin in one sentence."""
    cause = f"{origin.cause}: {origin.evidence}" if origin.evidence else "cause unknown"
    where = f"{origin.scope} ({origin.op})" if origin.scope else origin.op
    return (
        f"the error originates at {where}, {origin.candidate_op} "
        f"'{origin.candidate_tensor}': {cause}"
    )


def as_json(localisation: Localisation) -> dict[str, Any]:
    """JSON values: the fields, a schema version, and `lines`; infinity becomes null."""
    rows = [asdict(row) for row in localisation.rows]
    for row in rows:
        for numbers in (row, row["cost"] or {}):
            infinite = {k for k, v in numbers.items() if isinstance(v, float) and not isfinite(v)}
            numbers.update(dict.fromkeys(infinite))
    origin = None
    if localisation.origin is not None:
        origin = asdict(localisation.origin)
        origin["suspicion"] = origin.pop("cause")
    content = {
        "schema_version": SCHEMA_VERSION,
        "precision": localisation.precision,
        "rows": rows,
        "originates_at": origin,
        "most": localisation.greatest_increase,
        "summary": localisation.summary,
        "unit": localisation.unit,
    }
    return {**content, "lines": lines(content)}


def lines(content: Mapping[str, Any]) -> list[str]:
    """The summary and the table as text, for files.

    Args:
        content: As `as_json` returns it.
    """
    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=_WIDTH).print(table(content))
    text = (line.rstrip() for line in stream.getvalue().splitlines())
    return [content["summary"], *(line for line in text if line)]


def table(content: Mapping[str, Any]) -> Table:
    """A table of at most 12 rows around the origin, which `>` marks.

    The errors are relative to the error of rounding, for the tensor and for its inputs; the
    greatest error in the tensor's unit; and the RMS error relative to the standard deviation. Of a
    calibrated file, it has what the ops cost, and the costliest come first if none is to blame.

    Args:
        content: As `as_json` returns it.
    """
    rows, origin = content["rows"], content["originates_at"]
    if content["unit"] and origin is None:
        costliest = sorted(rows, key=lambda row: row["cost"]["own"], reverse=True)[:_MOST_ROWS]
        return _costs(content["unit"], (("  ", row) for row in costliest))
    centre = content["most"] if origin is None else origin["row"]
    first = max(0, min(centre - _BEFORE, len(rows) - _MOST_ROWS))
    shown = enumerate(rows[first : first + _MOST_ROWS], first)
    marked = [("> " if i == centre else "  ", row) for i, row in shown]
    if content["unit"]:
        return _costs(content["unit"], marked)
    return Table(_COLUMNS, tuple((*_names(row, mark), *_errors(row)) for mark, row in marked))


def _names(row: Mapping[str, Any], mark: str) -> tuple[str, str]:
    return (
        mark + _short(f"{row['scope']} {'+'.join(row['covers'])}".strip()),
        _short(f"{row['candidate_op']} {row['candidate_tensor']}"),
    )


def _errors(row: Mapping[str, Any]) -> Iterator[str]:
    yield from ("inf" if r is None else f"{r:.1f}" for r in (row["ratio"], row["inputs_ratio"]))
    yield from ("-" if e is None else f"{e:.1e}" for e in (row["max_abs"], row["relative"]))


def _costs(unit: str, marked: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """What each op costs, in int8 as well as it can be, and all ops up to it."""

    def costs(row: Mapping[str, Any]) -> Iterator[str]:
        for name, absent in (("own", "inf"), ("in_int8", "-"), ("total", "inf")):
            found = row["cost"][name]
            yield absent if found is None else f"{found:.3f}"

    rows = tuple((*_names(row, mark), *costs(row)) for mark, row in marked)
    columns = (*_COLUMNS[:2], *(Column(name, "number") for name in (unit, "in int8", "so far")))
    return Table(columns, rows)


def _short(text: str) -> str:
    """Cuts a long text in the middle: both ends of a tensor's name are informative."""
    if len(text) <= _WIDEST:
        return text
    half = (_WIDEST - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
