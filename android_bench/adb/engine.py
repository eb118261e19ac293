"""Engines run an artefact on a device and fill in its record."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from agecompact.bench.circumstances import Delegate
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from android_bench.adb.session import Session
from android_bench.failure import MeasurementFailure

_MS_PER_S = 1e3


class Engine(Protocol):
    """Runs artefacts on a device.

    Attributes:
        runtime: Name of the runtime in records.
        version: Its version in records.
    """

    runtime: str
    version: str

    def measure(self, session: Session, file: BuildFile, blank: Record, *, profile: bool) -> Record:
        """Pushes the missing files, runs an artefact and fills in its record.

        If the requested delegate is refused, the record says so; it holds the figures of what ran
        instead, or a failure if nothing did.

        Args:
            session: The device.
            file: The artefact.
            blank: Its record before the measurement, with the threads and cores to run it on.
            profile: Whether to measure time by op too.

        Raises:
            MeasurementFailure: It produced no figures.
            AdbFailure: The device failed.
        """
        ...


def refused(blank: Record, delegate: str, reason: str) -> Record:
    """The record of an artefact that did not run, because its delegate was refused."""
    # If no delegate was requested, nothing ran in place of one.
    outcome = Delegate(asked=delegate, got=None if delegate == "none" else "none")
    return replace(
        blank,
        runtime=replace(blank.runtime, delegate=outcome),
        failure=f"the delegate '{delegate}' was refused: {reason}",
    )


def timed_part_s(elapsed_s: float, untimed_ms: float) -> float:
    """The part of a program's wall time that is left for its timed inferences, in seconds.

    Args:
        elapsed_s: Wall time of the whole run.
        untimed_ms: Start and warm-up, as the program reports them.

    Raises:
        MeasurementFailure: Nothing is left.
    """
    left_s = elapsed_s - untimed_ms / _MS_PER_S
    if left_s <= 0:
        raise MeasurementFailure(
            "contradictory",
            f"its start and warm-up of {untimed_ms:g} ms do not fit into {elapsed_s:g} s: "
            "their unit is not ms",
        )
    return left_s
