"""A report in GitHub's Markdown, for pull requests and model cards; charts are left out."""

from __future__ import annotations

from collections.abc import Iterator

from agecompact import markdown
from agecompact.markdown import escape
from agecompact.report.document import Grid, Listing, Part, Report, Section

# Sections that are open; the others unfold, so that a pull request stays short.
_OPEN = frozenset({"artefacts", "failures"})


def to_markdown(report: Report) -> str:
    """The verdict, the table of artefacts, then a section for each topic."""
    verdict = report.verdict
    lines = [
        f"### {escape(report.title)}: {verdict.outcome}",
        "",
        " ".join(map(escape, (verdict.counts, *verdict.errors))),
    ]
    for section in report.sections:
        lines += ["", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    title = escape(section.title)
    body = [*(escape(line) for line in section.text)]
    body = [line for text in body for line in (text, "")]
    for part in section.parts:
        body += [*_part(part), ""]
    if section.anchor in _OPEN:
        yield from (f"#### {title}", "", *body[:-1])
    else:
        yield from (f"<details><summary>{title}</summary>", "", *body, "</details>")


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Grid):
        rows = ([escape(cell.text) for cell in row] for row in part.rows)
        yield from (f"{escape(part.caption)}:", "", *markdown.table(part.columns, rows))
    elif isinstance(part, Listing):
        yield f"**{escape(part.title)}**: {escape(part.text)}"
        if part.lines:
            yield from ("", *markdown.block(part.lines))
