"""What became of one run of the Swift runner: its record, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agecompact.bench import store
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.record import Artifact, Record, Source, now
from agecompact.errors import UsageError
from ios_bench.tool import Completed

_EXITS: Mapping[int, str] = {
    2: "the runner and this driver are of different versions",
    3: "the runner found no Core ML",
}


def failed(source: Source, artifact: Artifact, machine: Machine, unit: str, failure: str) -> Record:
    """The record of a compute unit that gave no figures.

    Args:
        source: `host` or `device`.
        artifact: The package.
        machine: Where it was tried.
        unit: The compute unit.
        failure: Why there are none.
    """
    return Record(
        source=source,
        artifact=artifact,
        machine=machine,
        runtime=Runtime(name="coreml", version=machine.os, delegate=Delegate(asked=unit)),
        taken_at=now(),
        failure=failure,
    )


def read(path: Path, artifact: Artifact, unit: str) -> Record:
    """The record that the runner wrote, of this very package.

    Args:
        path: Where it was to write it.
        artifact: The package, as it lies in the build.
        unit: The compute unit that it was asked for.

    Raises:
        UsageError: It is missing, broken, or tells of something else.
    """
    records = store.read(path)
    if len(records) != 1:
        raise UsageError(f"the runner wrote {len(records)} records", why="one was asked for")
    record = records[0]
    if record.artifact.sha256 != artifact.sha256:
        raise UsageError(
            f"the runner measured another file than {artifact.file}",
            why=f"sha256 {record.artifact.sha256[:12]}, not {artifact.sha256[:12]}",
        )
    delegate = record.runtime.delegate
    if delegate is None or delegate.asked != unit:
        raise UsageError(
            "the runner measured another compute unit",
            why=f"{delegate.asked if delegate else None}, not {unit}",
        )
    return replace(record, artifact=artifact)


def why_none(completed: Completed, timeout_s: float, problem: UsageError) -> str:
    """Why the runner left no record that can be read.

    Args:
        completed: How it ended.
        timeout_s: What it was allowed.
        problem: What reading its record gave.
    """
    if completed.timed_out:
        return f"no answer within {timeout_s:g} s"
    if completed.returncode in _EXITS:
        return f"{_EXITS[completed.returncode]}: {completed.complaint}"
    if completed.returncode != 0:
        return f"the runner failed: {completed.complaint}"
    return f"{problem.what}: {problem.why}".rstrip(": ")
