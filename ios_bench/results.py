"""The result of one run of the Swift runner: its record, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agecompact.bench import store
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.record import Artifact, Record, Source, now
from agecompact.errors import UsageError
from ios_bench.tool import Completed

_EXIT_CODES: Mapping[int, str] = {
    2: "the runner and this driver are of different versions",
    3: "the runner found no Core ML, or no Core AI",
}


def blank(source: Source, artifact: Artifact, machine: Machine, unit: str) -> Record:
    """Returns the record of a compute unit before it is measured.

    Args:
        source: `host` or `device`.
        artifact: The package.
        machine: Where it will run.
        unit: The compute unit.
    """
    return Record(
        source=source,
        artifact=artifact,
        machine=machine,
        runtime=Runtime(name=artifact.format, version=machine.os, delegate=Delegate(asked=unit)),
        taken_at=now(),
        failure="not measured yet",
    )


def of_run(blank: Record, out: Path, completed: Completed, timeout_s: float) -> Record:
    """Returns the record that the runner wrote.

    Args:
        blank: The record before the measurement.
        out: The file that the runner was to write.
        completed: How the runner ended.
        timeout_s: Its time limit.

    Returns:
        The record; `blank` with the failure if it is missing or broken, or is of another file or
        compute unit.
    """
    try:
        return _read(out, blank)
    except UsageError as problem:
        return replace(blank, failure=_why_none(completed, timeout_s, problem))


def _read(path: Path, blank: Record) -> Record:
    records = store.read(path)
    if len(records) != 1:
        raise UsageError(f"the runner wrote {len(records)} records", why="one was expected")
    record, wanted = records[0], blank.artifact
    if record.artifact.sha256 != wanted.sha256:
        raise UsageError(
            f"the runner measured another file than {wanted.file}",
            why=f"sha256 {record.artifact.sha256[:12]}, not {wanted.sha256[:12]}",
        )
    unit, wanted_unit = _unit_of(record), _unit_of(blank)
    if unit != wanted_unit:
        raise UsageError(
            "the runner measured another compute unit", why=f"{unit}, not {wanted_unit}"
        )
    return replace(record, artifact=wanted)


def _unit_of(record: Record) -> str | None:
    return record.runtime.delegate.asked if record.runtime.delegate else None


def _why_none(completed: Completed, timeout_s: float, problem: UsageError) -> str:
    if completed.timed_out:
        return f"no answer within {timeout_s:g} s"
    if completed.returncode in _EXIT_CODES:
        return f"{_EXIT_CODES[completed.returncode]}: {completed.message}"
    if completed.returncode != 0:
        return f"the runner failed: {completed.message}"
    return f"{problem.what}: {problem.why}".rstrip(": ")
