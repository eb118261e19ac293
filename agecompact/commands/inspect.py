"""`agecompact inspect`: what a weights file or an exported file is, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agecompact.console.common import emit, json_option, say, screen
from agecompact.console.groups import PATH
from agecompact.console.models import model_file
from agecompact.errors import BackendMissingError, UsageError
from agecompact.files import sha256_of, size_of
from agecompact.filetypes import kind_of
from agecompact.formats import format_of
from agecompact.models.project import is_project
from agecompact.runtimes import registry
from agecompact.runtimes.reading import Reader
from agecompact.serialization import unstructure
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from rich.console import Console

# What may hold a state dict.
_STATE_DICTS = ("pytorch", "torch", "torchscript", "torch.export", "old torch", "pickle", "cut")
_DEPTH = 2
_LONGEST = 160


@click.command()
@click.argument("file", type=PATH)
@click.option("--model", metavar="ID", help="The model that FILE, a state dict, is of.")
@json_option
def command(file: Path, model: str | None, json_target: str | None) -> None:
    """Show what a weights file or a model file is: its model, contract, content and card.

    A state dict of a model is shown as the weights file that it becomes, and a project file by the
    weights that it names. Of a model file that agecompact did not make, its inputs, outputs and ops
    are shown, and whether its runtime opens it. The JSON output has all values; on the screen, long
    lists are abbreviated.
    """
    console = screen(json_target)
    path = file
    if is_project(file):
        opening = model_file(str(file), None, None, console, naming="")
        path = click.get_current_context().with_resource(opening)
    elif file.is_file() and kind_of(file) in _STATE_DICTS:
        naming = "agecompact inspect {path} --model {model}"
        opening = model_file(model, file, None, console, naming=naming)
        path = click.get_current_context().with_resource(opening)
    runtime = registry.runtime_of(path)
    with Reader() as reader:
        metadata = reader.own_metadata(path)
        content = reader.describe(path)
        refusal = _refusal(reader, path) if metadata is None else None
    record = {
        "file": str(file),
        "runtime": runtime.name,
        "bytes": size_of(path),
        "sha256": sha256_of(path),
        **(unstructure(metadata) if metadata else {}),
        "content": content,
    }
    file_format = format_of(path)
    if metadata is None:
        kind = "model that agecompact did not make"
        record["refused"] = refusal.summary if refusal else None
    else:
        kind = f"artefact of '{metadata.model}', {metadata.precision}"
    if metadata and file_format.converter is None:
        kind = f"weights of '{metadata.model}', {metadata.precision}"
        record["card"] = dict(checkpoints.read_card(path, str(record["sha256"])))
    say(console, f"{file}: {file_format.name} {kind}")
    apart = ("file", "refused")
    _show(console, {k: v for k, v in record.items() if k not in apart and not isinstance(v, dict)})
    for key, value in record.items():
        if isinstance(value, dict) and value:
            say(console, "", key)
            _show(console, value)
    if refusal:
        say(console, "", *f"warning: {refusal}".split("\n"))
    emit(record, json_target)


def _refusal(reader: Reader, path: Path) -> UsageError | None:
    """Why the runtime of a file does not open it; None if it does, or is not on this machine."""
    try:
        reader.open(path)
    except BackendMissingError:
        return None
    except UsageError as error:
        return error
    return None


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
