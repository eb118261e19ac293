"""The verb `report`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from agecompact import report
from agecompact.console.common import emit, json_option, screen
from agecompact.files import write_text

SCHEMA_VERSION = 1


@click.command()
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"))
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the table as Markdown too."
)
@json_option
def command(build: Path, markdown: Path | None, json_target: str | None) -> None:
    """Print one table over a build: size, parity, latency ratio, status."""
    from rich.table import Table

    rows = report.rows(build)
    table = Table(
        title="From PyTorch to the phone",
        caption="parity: error against PyTorch; latency: ratio to the float32 TFLite file "
        "on one host; instructions: per inference, counted on an emulated ARM core",
    )
    for heading in report.HEADINGS:
        side: Literal["left", "right"] = "right" if heading in report.NUMERIC else "left"
        table.add_column(heading, justify=side, overflow="fold")
    for i, row in enumerate(rows):
        last_of_model = i + 1 == len(rows) or rows[i + 1].model != row.model
        table.add_row(*row.cells(), end_section=last_of_model)
    screen(json_target).print(table)
    if markdown:
        write_text(markdown, report.to_markdown(rows))
    emit({"schema_version": SCHEMA_VERSION, "rows": [asdict(row) for row in rows]}, json_target)
