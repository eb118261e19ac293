"""The verb `report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from agecompact.console.common import emit, json_option, say, screen, show
from agecompact.console.groups import BUILD, BUILDS, PATH
from agecompact.files import output_errors, write_text
from agecompact.report import evidence, processors, verdict
from agecompact.report.summary import summaries, to_table

# Version 1 had no verdict, and texts for instructions and devices.
SCHEMA_VERSION = 2


@click.command()
@click.argument("build", type=BUILD, default=BUILDS)
@click.option(
    "--html",
    type=PATH,
    metavar="FILE",
    help="Also write all results as one page with charts, which loads nothing else.",
)
@click.option(
    "--markdown",
    type=PATH,
    metavar="FILE",
    help="Also write all results for a pull request or a model card.",
)
@click.option(
    "--evaluation",
    "evaluations",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="What evaluate --json wrote about an artefact or its weights; repeatable.",
)
@json_option
def command(
    build: Path,
    html: Path | None,
    markdown: Path | None,
    evaluations: tuple[Path, ...],
    json_target: str | None,
) -> None:
    """Summarise a build: a verdict, and a table of size, parity, latency ratio and status.

    With --html or --markdown also errors by decade of age, instructions, bytes, the Pareto front,
    failures, contracts and versions, from manifest.json, parity.json and latency.json.
    """
    written = [path for path in (html, markdown) if path]
    for path in written:
        # A run that fails must not leave an earlier report.
        if path.is_file():
            with output_errors(path):
                path.unlink()
    found = evidence.read(build, evaluations, with_sizes=bool(written))
    rows, judged = summaries(found.artifacts), verdict.of(found)
    if written:
        from agecompact.report.compose import compose
        from agecompact.report.to_html import to_html
        from agecompact.report.to_markdown import to_markdown

        report = compose(found)
        if html:
            write_text(html, to_html(report))
        if markdown:
            write_text(markdown, to_markdown(report))
    console = screen(json_target)
    show(console, to_table(rows))
    if everywhere := processors.table(found.artifacts):
        show(console, everywhere)
    say(console, f"{judged.outcome}: {judged.counts}", *judged.errors)
    content = {"verdict": asdict(judged), "rows": [asdict(row) for row in rows]}
    emit({"schema_version": SCHEMA_VERSION, **content}, json_target)
