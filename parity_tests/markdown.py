"""Verdicts as GitHub's Markdown, for the summary of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from parity_tests.results import Result, passed

_HEADINGS = ("artefact", "runtime", "max", "searched", "p99", "mean", "allowed", "verdict")
_NUMERIC = frozenset(_HEADINGS[2:7])


def to_markdown(results: Sequence[Result]) -> str:
    """A verdict, a table with the failures first, and below it where their errors are born."""
    failed = [result for result in results if result.status == "failed"]
    ran = [result for result in results if result.status != "skipped"]
    skipped = [result for result in results if result.status == "skipped"]
    verdict = "passed" if passed(results) else "failed"
    lines = [
        f"### Parity {verdict}: {len(ran) - len(failed)} of {len(ran)} checks agree with PyTorch",
        "",
        "| " + " | ".join(_HEADINGS) + " |",
        "|" + "|".join("---:" if h in _NUMERIC else "---" for h in _HEADINGS) + "|",
    ]
    lines += [_row(result) for result in (*failed, *(r for r in ran if r.status == "passed"))]
    if skipped:
        lines += ["", f"Not run here: {', '.join(sorted({r.label for r in skipped}))}."]
    for result in failed:
        lines += ["", f"**{result.artifact}** in {result.label}: {result.kind}: {result.reason}"]
        if result.localisation:
            lines += ["", "```", *result.localisation["lines"], "```"]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    unit = " y" if result.unit == "years" else ""
    figures = [
        "-" if value is None else f"{value:.1e}{unit}"
        for value in (
            result.max_years,
            result.searched_years,
            result.p99_years,
            result.mean_years,
        )
    ]
    verdict = result.status if result.kind is None else f"**{result.status}: {result.kind}**"
    cells = (result.artifact, result.label, *figures, f"{result.tolerance.max:g}{unit}", verdict)
    return "| " + " | ".join(cells) + " |"
