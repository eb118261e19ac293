"""The result of one run of the Swift runner: its record, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agecompact.bench import store
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.record import Artifact, Record, Source, now
from agecompact.errors import UsageError
from ios_bench.packages import RUNTIME
from ios_bench.tool import Completed

_EXIT_CODES: Mapping[int, str] = {
    2: "the runner and this driver are of different versions",
    3: "the runner found no Core ML",
}


def failed(source: Source, artifact: Artifact, machine: Machine, unit: str, failure: str) -> Record:
    """Returns the record of a compute unit that could not be measured.

    Args:
        source: `host` or `device`.
        artifact: The package.
        machine: Where it was tried.
        unit: The compute unit.
        failure: What went wrong.
    """
    return Record(
        source=source,
        artifact=artifact,
        machine=machine,
        runtime=Runtime(name=RUNTIME, version=machine.os, delegate=Delegate(asked=unit)),
        taken_at=now(),
        failure=failure,
    )


def read(path: Path, artifact: Artifact, unit: str) -> Record:
    """Reads the record that the runner wrote, and checks what it measured.

    Args:
        path: The file that the runner was asked to write.
        artifact: The package in the build.
        unit: The compute unit that was requested.

    Raises:
        UsageError: The record is missing or broken, or is of another file or compute unit.
    """
    records = store.read(path)
    if len(records) != 1:
        raise UsageError(f"the runner wrote {len(records)} records", why="one was expected")
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
    """Returns why the runner left no readable record.

    Args:
        completed: How it ended.
        timeout_s: Its time limit.
        problem: The error of reading its record.
    """
    if completed.timed_out:
        return f"no answer within {timeout_s:g} s"
    if completed.returncode in _EXIT_CODES:
        return f"{_EXIT_CODES[completed.returncode]}: {completed.message}"
    if completed.returncode != 0:
        return f"the runner failed: {completed.message}"
    return f"{problem.what}: {problem.why}".rstrip(": ")
