"""Options and output that every verb shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.files import pretty_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "-"

json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE",
    help="Write the result as JSON to FILE; '-' is standard output, which then holds nothing else.",
)


def screen(json_target: str | None = None) -> Console:
    """The console for people: standard output, or standard error when that is taken by JSON."""
    from rich.console import Console

    stderr = json_target == STDOUT
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    # Off a terminal rich assumes 80 columns and would cut tables in CI logs.
    return Console(stderr=stderr, width=None if terminal else 140, highlight=False)


def emit(value: dict[str, Any] | list[Any], json_target: str | None) -> None:
    """Writes the result where `--json` asks for it, if it does."""
    if json_target == STDOUT:
        click.echo(pretty_json(value), nl=False)
    elif json_target:
        write_text(Path(json_target), pretty_json(value))


@contextmanager
def progress(console: Console, title: str, total: int) -> Iterator[Callable[[str], None]]:
    """Shows `total` steps: a bar on a terminal, elsewhere a plain line each.

    Yields:
        To be called once a step with what it is.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(title, total=total)

        def step(description: str) -> None:
            bar.update(task, advance=1, description=description)
            if not console.is_terminal:
                console.print(description)

        yield step
