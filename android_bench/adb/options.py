"""How to measure on a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.bench.drivers import Settings
from agecompact.errors import UsageError
from android_bench.native.results import XNNPACK

EngineName = Literal["runner", "benchmark-model"]
ENGINES: tuple[EngineName, ...] = ("runner", "benchmark-model")

FASTEST = "fastest"
ALL = "all"


@dataclass(frozen=True)
class Options:
    """How to measure on a device.

    Attributes:
        serial: Serial of the device; None if only one is connected or `$ANDROID_SERIAL` names it.
        engine: What runs the artefacts.
        benchmark_model: The user's `benchmark_model`, for the engine of that name.
        delegate: The requested delegate.
        cores: `fastest` pins to as many of the fastest clusters as the threads need, `all` does not
            pin, and a hexadecimal mask pins as `taskset` does.
        threads: Thread counts, each measured separately.
        runs: Timed inferences of each file in all rounds together, rounded up to whole rounds.
        warmup: Inferences before those of a round, the first one included.
        rounds: Rounds in which the files alternate, each in a process of its own.
        profile: Whether to measure time by op too.
        ledger: Folder of ledgers, from which an interrupted run resumes; None keeps none.
        timeout_s: Longest that a round of one artefact may take.
        wait_s: Longest to wait for a lost device.
    """

    serial: str | None = None
    engine: EngineName = "runner"
    benchmark_model: Path | None = None
    delegate: str = XNNPACK
    cores: str = FASTEST
    threads: tuple[int, ...] = (1,)
    runs: int = 200
    warmup: int = 20
    rounds: int = Settings.rounds
    profile: bool = False
    ledger: Path | None = None
    timeout_s: float = 600.0
    wait_s: float = 20.0

    def __post_init__(self) -> None:
        hexadecimal = bool(self.cores) and not set(self.cores.lower()) - set("0123456789abcdef")
        if self.cores not in (FASTEST, ALL) and not (hexadecimal and int(self.cores, 16)):
            raise UsageError(
                f"invalid cores '{self.cores}'",
                why="it must be a hexadecimal mask, as taskset takes it",
                fix=f"--cores f0 for cores 4 to 7, or --cores {FASTEST}, or --cores {ALL}",
            )
        if self.engine == "benchmark-model" and self.benchmark_model is None:
            raise UsageError(
                "the engine benchmark-model needs the program",
                why="it is Google's program, and no package carries it",
                fix="--benchmark-model PATH",
            )

    @property
    def runs_per_round(self) -> int:
        """Timed inferences in a round."""
        return -(-self.runs // self.rounds)

    def named_serial(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The serial from the option or the environment variable."""
        return self.serial or environment.get("ANDROID_SERIAL") or None
