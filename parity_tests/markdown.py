"""Results as GitHub's Markdown, for the summary of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from agecompact import markdown
from agecompact.markdown import escape
from agecompact.tables import Column
from parity_tests import coverage, float64
from parity_tests.results import Result, passed
from parity_tests.table import (
    COLUMNS,
    artifact_of,
    errors_of,
    flip_cells,
    flip_columns,
    task_cells,
    task_columns,
    task_title,
)


def to_markdown(results: Sequence[Result], reference: str = "PyTorch") -> str:
    """A verdict, a table with the failures first, then where their errors originate.

    Args:
        results: The results.
        reference: What the artefacts were checked against.
    """
    failed = [result for result in results if result.status == "failed"]
    ran = [result for result in results if result.status != "skipped"]
    skipped = [result for result in results if result.status == "skipped"]
    verdict = "passed" if passed(results) else "failed"
    lines = [
        f"### Parity {verdict}: {len(ran) - len(failed)} of {len(ran)} checks agree with "
        f"{reference}",
        "",
        *markdown.table(COLUMNS, map(_row, (*failed, *(r for r in ran if r.status == "passed")))),
    ]
    said = (*coverage.lines(results), *float64.lines(results))
    lines += ["", *(f"{escape(line)}." for line in said)]
    if measured := [result for result in results if result.faces]:
        own = (*COLUMNS[:2], *task_columns(reference), Column("unit", "name"))
        columns = (*own, *flip_columns(measured))
        lines += [
            "",
            f"{task_title(measured)}:",
            "",
            *markdown.table(columns, (_task_row(each, measured) for each in measured)),
        ]
    if skipped:
        labels = ", ".join(sorted({escape(result.label) for result in skipped}))
        lines += ["", f"Not run here: {labels}."]
    for result in failed:
        what = f"{result.label}: {result.kind}: {result.reason}"
        of = f" ({escape(result.output)})" if result.output else ""
        lines += ["", f"**{escape(result.artifact)}**{of} in {escape(what)}"]
        if result.localisation:
            lines += ["", *markdown.block(result.localisation["lines"])]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> list[str]:
    unit = " y" if result.unit == "years" else ""
    errors = [cell if cell == "-" else f"{cell}{unit}" for cell in errors_of(result)]
    verdict = escape(result.verdict)
    verdict = f"**{verdict}**" if result.kind else verdict
    return [
        escape(artifact_of(result)),
        escape(result.label),
        *errors,
        verdict,
    ]


def _task_row(result: Result, measured: Sequence[Result]) -> list[str]:
    flipped = flip_cells(result, measured)
    cells = (artifact_of(result), result.label, *task_cells(result), result.unit, *flipped)
    return [escape(cell) for cell in cells]
