"""The verb `inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from agecompact.console.common import emit, json_option, screen
from agecompact.files import sha256_of, size_of
from agecompact.runtimes import registry
from agecompact.weights import checkpoints


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def command(file: Path, json_target: str | None) -> None:
    """Print what is inside a weights file or an artefact: its contract, its source, its content."""
    runtime = registry.runtime_of(file)
    metadata = registry.read_metadata(file)
    told = {
        "file": str(file),
        "runtime": runtime.name,
        "bytes": size_of(file),
        "sha256": sha256_of(file),
        **json.loads(metadata.to_json()),
        "content": registry.load(runtime).describe(str(file)),
    }
    if runtime.name == "pytorch":
        told["card"] = dict(checkpoints.read(file).card)
    console = screen(json_target)
    for key, value in _flat(told):
        console.print(f"{key:<32} {value}", soft_wrap=True, markup=False)
    emit(told, json_target)


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested JSON as dotted keys, in reading order."""
    lines: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict):
            lines += _flat(item, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", item))
    return lines
