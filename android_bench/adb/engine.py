"""Engines run an artefact on a device and fill in its record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.circumstances import Delegate
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from android_bench.adb.options import Options
from android_bench.adb.session import Session
from android_bench.failure import MeasurementFailure

_MS_PER_S = 1e3


@dataclass(frozen=True)
class RunSettings:
    """How to run an artefact in one round.

    Attributes:
        options: What is the same for all artefacts.
        threads: Threads.
        core_mask: Cores to pin it to, hexadecimal; None leaves that to the system.
        profile: Whether to measure time by op in this round.
    """

    options: Options
    threads: int
    core_mask: str | None
    profile: bool = False


@dataclass(frozen=True)
class ModelFile:
    """A model file, and the golden pack that its outputs are checked against.

    Attributes:
        file: The artefact.
        pack_folder: Folder of the golden pack.
        pack: The pack; None if the build has none.
    """

    file: BuildFile
    pack_folder: Path
    pack: GoldenPack | None = field(default=None, repr=False)


class Engine(Protocol):
    """Runs artefacts on a device."""

    @property
    def runtime(self) -> str:
        """Name of the runtime in records."""
        ...

    @property
    def version(self) -> str:
        """Its version in records."""
        ...

    def measure(
        self, session: Session, model: ModelFile, settings: RunSettings, blank: Record
    ) -> Record:
        """Pushes the missing files, runs an artefact and fills in its record.

        If the requested delegate is refused, the record says so; it holds the figures of what ran
        instead, or a failure if nothing did.

        Args:
            session: The device.
            model: The artefact.
            settings: How to run it.
            blank: The record before the measurement.

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
