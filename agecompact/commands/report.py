"""The verb `report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from agecompact import report
from agecompact.console.common import emit, json_option, screen, show
from agecompact.console.groups import BUILD, BUILDS
from agecompact.files import output_errors, write_text

SCHEMA_VERSION = 1


@click.command()
@click.argument("build", type=BUILD, default=BUILDS)
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the table as Markdown too."
)
@json_option
def command(build: Path, markdown: Path | None, json_target: str | None) -> None:
    """Summarise a build in one table: size, parity, latency ratio, status."""
    if markdown and markdown.is_file():
        # A run that fails must not leave an earlier table.
        with output_errors(markdown):
            markdown.unlink()
    summaries = report.summaries(build)
    show(screen(json_target), report.to_table(summaries))
    if markdown:
        write_text(markdown, report.to_markdown(summaries))
    rows = [asdict(summary) for summary in summaries]
    emit({"schema_version": SCHEMA_VERSION, "rows": rows}, json_target)
