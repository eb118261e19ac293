"""What runs an artefact on a device: each engine fills the record that it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agecompact.golden import GoldenPack
from agecompact.latency.record import Record
from android_bench.adb.session import Session
from android_bench.artifacts import Measured


class EngineFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """An engine gave no figure that can be used; its text says why."""


@dataclass(frozen=True)
class Plan:
    """How one artefact is to be run.

    Attributes:
        threads: Threads for the runtime.
        delegate: What is to compute the graph, by registry name.
        runs: Timed inferences.
        warmup: Inferences before them, the first one included.
        core_mask: Cores to pin it to, hexadecimal; None leaves it to the system.
        profile: Whether to ask for times by op besides.
        timeout_s: Longest that a run may take.
    """

    threads: int = 1
    delegate: str = "xnnpack"
    runs: int = 200
    warmup: int = 20
    core_mask: str | None = None
    profile: bool = False
    timeout_s: float = 600.0


@dataclass(frozen=True)
class Subject:
    """An artefact with what its answers are held against.

    Attributes:
        file: The artefact.
        folder: Of its golden pack.
        pack: The pack; None if the build has none.
    """

    file: Measured
    folder: Path
    pack: GoldenPack | None = field(default=None, repr=False)


class Engine(Protocol):
    """Something that runs artefacts on a device."""

    @property
    def runtime(self) -> str:
        """Name of the runtime, as records hold it."""
        ...

    @property
    def version(self) -> str:
        """Its version, as records hold it."""
        ...

    def check(self, plan: Plan) -> None:
        """Refuses what the engine can never do, before a device is touched.

        Raises:
            UsageError: It cannot do it.
        """
        ...

    def measure(self, session: Session, subject: Subject, plan: Plan, blank: Record) -> Record:
        """Pushes what is needed, runs an artefact and fills its record.

        Args:
            session: The device.
            subject: The artefact.
            plan: How.
            blank: A record of what is known before.

        Raises:
            EngineFailure: It gave no figure.
            AdbFailure: The device failed.
        """
        ...
