"""Results as a table's cells, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

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
    faces = ", ".join(f"{n:,}" for n in sorted({result.faces for result in measured}))
    return Table(
        columns=(
            Column("artefact", "name"),
            Column("runtime", "name"),
            Column("MAE", "number"),
            Column(reference, "number"),
            Column("difference", "number"),
            Column("allowed", "number", rank=1),
            Column("unit", "name", rank=1),
        ),
        rows=tuple(
            (
                _artifact(r),
                r.runtime,
                f"{r.artifact_mae_years:.4f}",
                f"{r.reference_mae_years:.4f}",
                _figure(r.mae_years),
                "-" if r.tolerance is None else f"{r.tolerance.mae:g}",
                r.unit,
            )
            for r in measured
        ),
        title=f"MAE on {faces} labelled faces",
    )


def _artifact(result: Result) -> str:
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
            (_artifact(r), r.runtime, *errors_of(r), r.verdict, *((r.unit,) if mixed else ()))
            for r in shown
        ),
        title=" in ".join([f"Error against {reference}", *(() if mixed else units)]),
        caption="\n".join(f"{name}: {label}" for name, label in labels.items()),
    )
