"""The `--json` option, the console, and progress, which all verbs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.errors import AgecompactError, OutputError
from agecompact.files import canonical_json, pretty_json, write_text
from agecompact.tables import Table
from agecompact.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = "-"


def _writable(_context: click.Context, _parameter: click.Parameter, target: str | None) -> Any:
    """Refuses a target that cannot be written before the work begins, which may take hours."""
    if target not in (None, STDOUT):
        path = Path(str(target))
        place = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir():
            reason = "it is a folder"
        elif not place.is_dir():
            reason = f"{place} is not a folder"
        elif not os.access(place, os.W_OK):
            reason = f"no permission to write to {place}"
        else:
            return target
        raise OutputError(f"cannot write {path}", why=reason, fix="name another file with --json")
    return target


json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE",
    callback=_writable,
    help="Write the result as JSON to FILE; '-' means standard output, with nothing else on it.",
)


def screen(json_target: str | None = None) -> Console:
    """The console for people: standard output, or standard error if JSON takes that."""
    from rich.console import Console

    stderr = json_target == STDOUT
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    # Off a terminal rich assumes 80 columns, and tables in CI logs would leave columns out.
    return Console(stderr=stderr, width=None if terminal else 140, highlight=False)


def emit(value: dict[str, Any] | list[Any], json_target: str | None) -> None:
    """Writes a result to the target of `--json`, if there is one."""
    if json_target == STDOUT:
        click.echo(pretty_json(value), nl=False)
    elif json_target:
        write_text(Path(json_target), pretty_json(value))


def emit_line(value: dict[str, Any]) -> None:
    """Writes a result to standard output, as one line of JSON."""
    click.echo(canonical_json(value))


def say(console: Console, *lines: str) -> None:
    """Prints lines as they are: nothing in them is markup, and long ones are not wrapped."""
    for line in lines:
        console.print(one_line(line), markup=False, emoji=False, soft_wrap=True)


def show(console: Console, table: Table) -> None:
    """Prints a table."""
    console.print(table)


def complain(error: AgecompactError) -> None:
    """Prints an error to standard error."""
    click.echo(f"error: {error}", err=True)


def warn(text: str) -> None:
    """Prints a warning to standard error."""
    click.echo(f"warning: {one_line(text)}", err=True)


@dataclass(frozen=True)
class Stages:
    """A progress display of several stages.

    Attributes:
        start: Shows which stage runs now. Nothing advances; off a terminal nothing is printed.
        done: Advances by one when a stage has ended; off a terminal it prints the description.
    """

    start: Callable[[str], None]
    done: Callable[[str], None]


@contextmanager
def progress(console: Console, title: str, total: int) -> Iterator[Stages]:
    """Shows the progress of `total` stages: a live bar on a terminal, elsewhere a line per stage.

    The bar's spinner and clock move while a stage runs, so that a long one does not look stuck.

    Yields:
        The display, to be updated when a stage starts and when it ends.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(one_line(title), total=total)

        def start(description: str) -> None:
            bar.update(task, description=one_line(description))

        def done(description: str) -> None:
            bar.update(task, advance=1, description=one_line(description))
            if not console.is_terminal:
                say(console, description)

        yield Stages(start, done)
