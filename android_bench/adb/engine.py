"""What runs an artefact on a device: each engine fills the record that it is given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.circumstances import Delegate
from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from android_bench.adb.session import Session

_MS_PER_S = 1e3


class EngineFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """An engine gave no figure that can be used; its text says why."""


@dataclass(frozen=True)
class Plan:
    """How one artefact is to be run in one round.

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

    file: BuildFile
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

    def measure(self, session: Session, subject: Subject, plan: Plan, blank: Record) -> Record:
        """Pushes what is not there yet, runs an artefact and fills its record.

        A delegate that is refused is no failure of the engine: the record says it.

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


def refused(blank: Record, delegate: str, why: str) -> Record:
    """The record of an artefact that did not run, because its delegate could not be had.

    Args:
        blank: The record of what is known before.
        delegate: What was asked for, by registry name.
        why: Why it could not be had.
    """
    # What asks for no delegate at all, and gets none of its wish, has nothing in its place.
    told = Delegate(asked=delegate, got=None if delegate == "none" else "none")
    return replace(
        blank,
        runtime=replace(blank.runtime, delegate=told),
        failure=f"the delegate '{delegate}' was refused: {why}",
    )


def timed_part_s(elapsed_s: float, untimed_ms: float) -> float:
    """What a program's run, timed from without, leaves for its timed inferences, in seconds.

    Args:
        elapsed_s: Wall time of the whole run.
        untimed_ms: What the program tells of its start and its warm-up.

    Raises:
        EngineFailure: It leaves nothing.
    """
    left_s = elapsed_s - untimed_ms / _MS_PER_S
    if left_s <= 0:
        raise EngineFailure(
            f"its start and warm-up of {untimed_ms:g} ms do not fit into {elapsed_s:g} s: "
            "their unit is not ms"
        )
    return left_s
