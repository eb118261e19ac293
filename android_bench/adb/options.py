"""How to measure on a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.bench.drivers import Settings
from agecompact.errors import UsageError

EngineName = Literal["runner", "benchmark-model"]
ENGINES: tuple[EngineName, ...] = ("runner", "benchmark-model")

FASTEST = "fastest"
ALL = "all"


@dataclass(frozen=True)
class Options:
    """How to measure on a device.

    Attributes:
        serial: Of the device; None where there is but one, or `$ANDROID_SERIAL` names it.
        engine: What runs the artefacts.
        benchmark_model: The user's `benchmark_model`, for the engine of that name.
        delegate: What is to compute the graph, by registry name.
        cores: `fastest` for as many of the fastest clusters as there are threads, `all` to pin to
            none, or a hexadecimal mask as `taskset` takes it.
        threads: Thread counts, each measured by itself.
        runs: Timed inferences of each file, in all of its rounds; each round makes as many.
        warmup: Inferences before those of a round, the first one included.
        rounds: Rounds in which the files take turns, each a process of its own.
        profile: Whether to ask for times by op besides.
        ledger: Folder of ledgers, for a run that goes on where it was cut off; None keeps none.
        timeout_s: Longest that a round of one artefact may take.
        wait_s: Longest to wait for a device that left.
    """

    serial: str | None = None
    engine: EngineName = "runner"
    benchmark_model: Path | None = None
    delegate: str = "xnnpack"
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
                f"no cores '{self.cores}'",
                why="it is a hexadecimal mask, as taskset takes it",
                fix=f"--cores f0 for cores 4 to 7, or --cores {FASTEST}, or --cores {ALL}",
            )
        if self.engine == "benchmark-model" and self.benchmark_model is None:
            raise UsageError(
                "the engine benchmark-model needs the program",
                why="it is Google's, and no package carries it",
                fix="--benchmark-model PATH",
            )

    @property
    def runs_per_round(self) -> int:
        """Timed inferences in a round."""
        return -(-self.runs // self.rounds)

    def named_serial(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The serial that was asked for, by option or by environment variable."""
        return self.serial or environment.get("ANDROID_SERIAL") or None
