"""Results as a table's cells, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from agecompact.artifacts.parity import AGES
from agecompact.tables import Column, Table
from parity_tests.results import Result

# `allowed` is the gate of `max`.
COLUMNS = (
    Column("artefact", "name"),
    Column("runtime", "name"),
    Column("max", "number"),
    Column("allowed", "number", rank=1),
    Column("searched", "number", rank=2),
    Column("p99", "number", rank=3),
    Column("mean", "number", rank=3),
    Column("verdict"),
)
_UNIT = Column("unit", "name", rank=1)


def errors_of(result: Result) -> tuple[str, ...]:
    """The cells of the columns `max` to `mean`."""
    return (
        _figure(result.max_error),
        "-" if result.tolerance is None else f"{result.tolerance.max:g}",
        _figure(result.searched_error),
        _figure(result.p99_error),
        _figure(result.mean_error),
    )


def task_table(results: Sequence[Result], reference: str) -> Table | None:
    """A row for each result on labelled faces; None if there were none.

    Args:
        results: The results.
        reference: What the artefacts were checked against.
    """
    measured = [result for result in results if result.faces]
    if not measured:
        return None
    return Table(
        columns=(
            Column("artefact", "name"),
            Column("runtime", "name"),
            *task_columns(reference),
            Column("allowed", "number", rank=1),
            Column("unit", "name", rank=1),
            *flip_columns(measured),
        ),
        rows=tuple(
            (
                artifact_of(r),
                r.runtime,
                *task_cells(r),
                "-" if r.tolerance is None else f"{r.tolerance.mae:g}",
                r.unit,
                *flip_cells(r, measured),
            )
            for r in measured
        ),
        title=task_title(measured),
    )


def task_title(measured: Sequence[Result]) -> str:
    """The heading of the MAEs of results on labelled faces."""
    faces = ", ".join(f"{n:,}" for n in sorted({result.faces for result in measured}))
    return f"MAE on {faces} labelled faces"


def task_columns(reference: str) -> tuple[Column, ...]:
    """The columns of `task_cells`."""
    return tuple(Column(heading, "number") for heading in ("MAE", reference, "difference"))


def task_cells(result: Result) -> tuple[str, ...]:
    """The MAE of the artefact, that of the reference, and by how much the first is greater."""
    return (
        f"{result.artifact_mae_years:.4f}",
        f"{result.reference_mae_years:.4f}",
        f"{result.mae_change:+.1e}",
    )


def flip_columns(measured: Sequence[Result]) -> tuple[Column, ...]:
    """The columns of `flip_cells`; none if no answer is an age."""
    if not any(result.flips for result in measured):
        return ()
    return tuple(Column(f"flips at {age}", "number") for age in AGES)


def flip_cells(result: Result, measured: Sequence[Result]) -> tuple[str, ...]:
    """The shares of faces that cross each age because of the conversion."""
    shares = (result.flips.get(age) for age in AGES) if flip_columns(measured) else ()
    return tuple("-" if share is None else f"{share:.2%}" for share in shares)


def task_text(result: Result, reference: str) -> str:
    """Both MAEs of a result and their difference in words; empty without labelled faces."""
    if not result.faces:
        return ""
    own, theirs, difference = task_cells(result)
    return (
        f"MAE on {result.faces:,} labelled faces: {own} {result.unit}, {reference} {theirs}, "
        f"difference {difference}{_flips_text(result)}"
    )


def _flips_text(result: Result) -> str:
    if not result.flips:
        return ""
    shares = ", ".join(f"{share:.2%} at {age}" for age, share in result.flips.items())
    return f"; flips: {shares}"


def artifact_of(result: Result) -> str:
    """The artefact and, of several outputs, which one."""
    return f"{result.artifact} {result.output}".strip()


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def table(results: Sequence[Result], reference: str) -> Table:
    """A row for each result that was not skipped.

    Args:
        results: The results.
        reference: What the artefacts were checked against, for the title.
    """
    shown = [result for result in results if result.status != "skipped"]
    units = {result.unit for result in shown}
    labels = {result.runtime: result.label for result in shown}
    # Years and scores in one table need a column for the unit.
    mixed = len(units) > 1
    return Table(
        columns=(*COLUMNS, _UNIT) if mixed else COLUMNS,
        rows=tuple(
            (artifact_of(r), r.runtime, *errors_of(r), r.verdict, *((r.unit,) if mixed else ()))
            for r in shown
        ),
        title=" in ".join([f"Error against {reference}", *(() if mixed else units)]),
        caption="\n".join(f"{name}: {label}" for name, label in labels.items()),
    )
