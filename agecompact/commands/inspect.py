"""`agecompact inspect`: what a weights file or an exported file is, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.files import sha256_of, size_of
from agecompact.formats import format_of
from agecompact.runtimes import registry
from agecompact.runtimes.reading import Reader
from agecompact.serialization import unstructure
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from rich.console import Console

_DEPTH = 2
_LONGEST = 160


@click.command()
@click.argument("file", type=PATH)
@json_option
def command(file: Path, json_target: str | None) -> None:
    """Show what a weights file or an exported file is: its model, contract, content and card.

    The JSON output has all values; on the screen, long lists are abbreviated.
    """
    runtime = registry.runtime_of(file)
    with Reader() as reader:
        metadata = reader.metadata(file)
        content = reader.describe(file)
    record = {
        "file": str(file),
        "runtime": runtime.name,
        "bytes": size_of(file),
        "sha256": sha256_of(file),
        **unstructure(metadata),
        "content": content,
    }
    file_format = format_of(file)
    kind = "artefact"
    if file_format.converter is None:
        kind = "weights"
        record["card"] = dict(checkpoints.read_card(file, str(record["sha256"])))
    console = screen(json_target)
    say(console, f"{file}: {file_format.name} {kind} of '{metadata.model}', {metadata.precision}")
    _show(console, {k: v for k, v in record.items() if k != "file" and not isinstance(v, dict)})
    for key, value in record.items():
        if isinstance(value, dict) and value:
            say(console, "", key)
            _show(console, value)
    emit(record, json_target)


def _show(console: Console, values: Mapping[str, Any]) -> None:
    """Prints a line per value, or two where they do not fit one."""
    rows = dict(_flat(values, _DEPTH))
    width = max(map(len, rows), default=0)
    for key, text in rows.items():
        line = f"  {key:<{width}}  {text}"
        say(console, *([line] if len(line) <= console.width else [f"  {key}", f"    {text}"]))


def _flat(values: Mapping[str, Any], depth: int, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested JSON by dotted key, down to a depth; empty ones are left out."""
    for key, item in values.items():
        if item in (None, "", [], {}):
            continue
        if isinstance(item, dict) and depth > 1:
            yield from _flat(item, depth - 1, f"{prefix}{key}.")
        elif isinstance(item, dict | list):
            text = json.dumps(item)
            yield f"{prefix}{key}", text if len(text) <= _LONGEST else f"{len(item)} entries"
        else:
            yield f"{prefix}{key}", str(item)
