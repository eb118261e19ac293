"""`latency.json`: the records of all drivers; a new one replaces its predecessor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agecompact.bench.circumstances import Machine
from agecompact.bench.record import SCHEMA_VERSION, Record
from agecompact.bench.validity import validated
from agecompact.files import pretty_json, updated_path
from agecompact.serialization import read_versioned, unstructure

FILE_NAME = "latency.json"


@dataclass(frozen=True)
class LatencyFile:
    """The content of `latency.json`.

    Attributes:
        records: The records, sorted by what they measured and where.
    """

    SCHEMA_VERSION: ClassVar[int] = SCHEMA_VERSION

    records: tuple[Record, ...]


@dataclass(frozen=True, order=True)
class MeasurementKey:
    """What a record measured and how, whatever the machine and the date.

    It holds the file's name and not its hash, so that an artefact that was exported again replaces
    its old record.
    """

    model: str
    file: str
    source: str
    runtime: str
    threads: int
    batch: int
    core_mask: str
    delegate: str


def measurement_key(record: Record) -> MeasurementKey:
    """Returns the key of what a record measured."""
    runtime = record.runtime
    return MeasurementKey(
        model=record.artifact.model,
        file=record.artifact.file,
        source=record.source,
        runtime=runtime.name,
        threads=runtime.threads or 0,
        batch=runtime.batch,
        core_mask=runtime.core_mask or "",
        delegate=runtime.delegate.asked if runtime.delegate else "",
    )


def machine_key(machine: Machine) -> tuple[str, str, str, int, bool]:
    """Returns what distinguishes machines, whatever the version of their operating system."""
    emulated = machine.emulator is not None
    return machine.name or "", machine.soc or "", machine.cpu, machine.cores or 0, emulated


def to_json(records: Iterable[Record]) -> dict[str, Any]:
    """Returns the content of a `latency.json` as JSON values, every record validated again."""
    content: dict[str, Any] = unstructure(_file_of(records))
    return content


def read(path: Path) -> tuple[Record, ...]:
    """Reads a `latency.json`.

    Raises:
        UsageError: It is missing, not JSON, or of another schema version, or a record is invalid.
    """
    fix = f"remove {path} and measure again: agecompact bench"
    return read_versioned(path, LatencyFile, what="latency record", fix=fix).records


def merge(old: Iterable[Record], new: Iterable[Record]) -> tuple[Record, ...]:
    """Replaces old records by new ones of the same measurement and machine; the others stay."""
    merged = {(measurement_key(r), machine_key(r.machine)): r for r in (*old, *new)}
    return tuple(merged[key] for key in sorted(merged))


def add(path: Path, new: Iterable[Record]) -> tuple[Record, ...]:
    """Merges new records into a `latency.json`, which is created if missing.

    Returns:
        All records that it now holds, validated.

    Raises:
        UsageError: The existing file cannot be read.
        OutputError: The file cannot be written.
    """
    with updated_path(path) as temporary:
        content = _file_of(merge(read(path) if path.is_file() else (), new))
        temporary.write_text(pretty_json(unstructure(content)), encoding="utf-8")
    return content.records


def _file_of(records: Iterable[Record]) -> LatencyFile:
    return LatencyFile(tuple(validated(record) for record in records))
