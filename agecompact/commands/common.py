"""Options and output that every verb shares."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from agecompact.errors import missing_extra
from agecompact.files import pretty_json, write_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

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
def progress(console: Console) -> Iterator[Progress]:
    """A progress bar on a terminal; elsewhere it stays silent and callers print plain lines."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield bar


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports an optional module, or says which extra installs it.

    Raises:
        BackendMissingError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise missing_extra(extra, module) from None
