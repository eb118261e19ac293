"""Results as GitHub's Markdown, for the summary of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from parity_tests import coverage
from parity_tests.results import Result, passed
from parity_tests.table import COLUMNS, errors_of


def to_markdown(results: Sequence[Result]) -> str:
    """A verdict, a table with the failures first, then where their errors originate."""
    failed = [result for result in results if result.status == "failed"]
    ran = [result for result in results if result.status != "skipped"]
    skipped = [result for result in results if result.status == "skipped"]
    verdict = "passed" if passed(results) else "failed"
    lines = [
        f"### Parity {verdict}: {len(ran) - len(failed)} of {len(ran)} checks agree with PyTorch",
        "",
        _line([column.heading for column in COLUMNS]),
        _line(["---:" if column.kind == "number" else "---" for column in COLUMNS]),
    ]
    lines += [_row(result) for result in (*failed, *(r for r in ran if r.status == "passed"))]
    lines += ["", *(f"{line}." for line in coverage.lines(results))]
    if skipped:
        lines += ["", f"Not run here: {', '.join(sorted({r.label for r in skipped}))}."]
    for result in failed:
        lines += ["", f"**{result.artifact}** in {result.label}: {result.kind}: {result.reason}"]
        if result.localisation:
            lines += ["", "```", *result.localisation["lines"], "```"]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    unit = " y" if result.unit == "years" else ""
    errors = [cell if cell == "-" else f"{cell}{unit}" for cell in errors_of(result)]
    verdict = f"**{result.verdict}**" if result.kind else result.verdict
    return _line([result.artifact, result.label, *errors, verdict])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
