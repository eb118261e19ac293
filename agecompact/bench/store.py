"""`latency.json`: records of several sources side by side, each in the place of its predecessor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agecompact.bench.circumstances import Machine
from agecompact.bench.record import SCHEMA_VERSION, Record
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from agecompact.files import pretty_json, read_json, write_text
from agecompact.serialization import structure, unstructure

FILE_NAME = "latency.json"


@dataclass(frozen=True, order=True)
class Subject:
    """What a record tells of, wherever and whenever it was taken.

    The file counts by its name, not by its hash: an artefact that was exported again is the same
    subject, measured anew.
    """

    model: str
    file: str
    source: str
    runtime: str
    threads: int
    batch: int
    core_mask: str
    delegate: str


@dataclass(frozen=True, order=True)
class Place:
    """The machine, but for its system's version, which an update changes."""

    name: str
    soc: str
    cpu: str
    cores: int
    emulated: bool


def subject_of(record: Record) -> Subject:
    """What a record tells of."""
    runtime = record.runtime
    return Subject(
        model=record.artifact.model,
        file=record.artifact.file,
        source=record.source,
        runtime=runtime.name,
        threads=runtime.threads or 0,
        batch=runtime.batch,
        core_mask=runtime.core_mask or "",
        delegate=runtime.delegate.asked if runtime.delegate else "",
    )


def place_of(machine: Machine) -> Place:
    """The machine as `merge` and `bench diff` tell it from others."""
    return Place(
        name=machine.name or "",
        soc=machine.soc or "",
        cpu=machine.cpu,
        cores=machine.cores or 0,
        emulated=machine.emulator is not None,
    )


def to_json(records: Iterable[Record]) -> dict[str, Any]:
    """The content of `latency.json`, every record judged by the rules of today."""
    return {
        "schema_version": SCHEMA_VERSION,
        "records": [unstructure(validated(record)) for record in records],
    }


def from_json(content: dict[str, Any], *, where: str) -> tuple[Record, ...]:
    """Reads what `to_json` gave.

    Args:
        content: JSON values.
        where: The file, for error messages.

    Raises:
        UsageError: Another schema version, or a field is unknown, missing or wrong.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{where} has schema version {version!r}",
            why=f"this agecompact reads version {SCHEMA_VERSION}",
            fix=f"remove {where} and measure again: agecompact bench build",
        )
    items = content.get("records")
    if not isinstance(items, list) or set(content) != {"schema_version", "records"}:
        raise UsageError(f"cannot read {where}", why="it holds a version and records, no more")
    records = []
    for i, item in enumerate(items):
        records.append(structure(item, Record, where=f"{where}: record {i}"))
    return tuple(records)


def read(path: Path) -> tuple[Record, ...]:
    """Reads a `latency.json`.

    Raises:
        UsageError: It is missing, is not JSON, or is not what `to_json` gave.
    """
    return from_json(read_json(path, what="latency record"), where=str(path))


def merge(old: Iterable[Record], new: Iterable[Record]) -> tuple[Record, ...]:
    """Old records with new ones in the place of those of the same subject and place.

    What another source, machine, runtime or thread count told stays as it was.
    """
    kept = {(subject_of(r), place_of(r.machine)): r for r in old}
    kept.update({(subject_of(r), place_of(r.machine)): r for r in new})
    return tuple(kept[key] for key in sorted(kept))


def add(path: Path, new: Iterable[Record]) -> tuple[Record, ...]:
    """Merges new records into a `latency.json`, which is made if there is none.

    Returns:
        All that it now holds, judged.

    Raises:
        UsageError: The file there cannot be read.
        OutputError: It cannot be written.
    """
    old = read(path) if path.exists() else ()
    records = tuple(validated(record) for record in merge(old, new))
    write_text(path, pretty_json(to_json(records)))
    return records
