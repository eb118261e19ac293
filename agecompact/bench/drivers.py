"""Where artefacts can be measured: each harness by name, none of them loaded before it is asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from agecompact.artifacts.manifest import Build
from agecompact.bench.record import Record
from agecompact.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Settings:
    """How to measure, for every harness; each takes what it knows.

    Attributes:
        threads: Thread counts, each measured by itself.
        batches: Faces an inference, likewise, where the artefact takes as many.
        rounds: Alternating rounds; every artefact runs once in each.
        profile: Whether to ask for times by op besides.
        place: What follows the colon of `--on`: an emulated core, a serial; None if nothing does.
    """

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    rounds: int = 20
    profile: bool = False
    place: str | None = None


Report = Callable[[str], None]
Harness = Callable[[Build, Settings, Report], tuple[Record, ...]]


@dataclass(frozen=True)
class Driver:
    """One harness before it is loaded.

    Attributes:
        target: `module:function` of its `Harness`: it measures every artefact of a build that it
            can, tells each one's name as it comes to it, and returns the records, unjudged. One
            that cannot be measured there has its reason in `failure`.
        summary: What it measures, for `--help`.
        place: What may follow the colon of `--on`, for `--help`; None if nothing may.
    """

    target: str
    summary: str
    place: str | None = None

    def load(self) -> Harness:
        """Imports the harness.

        Raises:
            BackendMissingError: What it needs is not here.
        """
        module, function = self.target.split(":")
        return cast(Harness, getattr(importlib.import_module(module), function))


DRIVERS: Mapping[str, Driver] = {
    "host": Driver("agecompact.bench.host:measure_build", "latency on this machine"),
    "emulated": Driver(
        "android_bench.emulated.harness:measure_build", "ARM instructions, emulated", "CORE"
    ),
    "adb": Driver(
        "android_bench.adb.measure:measure_build", "latency on an Android phone", "SERIAL"
    ),
    "mac": Driver("ios_bench.mac:measure_build", "latency of Core ML on this Mac", "UNIT,..."),
    "ios": Driver(
        "ios_bench.devices:measure_build",
        "latency of Core ML on a device at this Mac",
        "DEVICE[/UNIT,...]",
    ),
}


def resolve(where: str) -> tuple[Driver, str | None]:
    """The harness that `--on` names, and what follows its colon.

    Raises:
        UsageError: No such harness, or one that takes nothing after its name.
    """
    name, colon, place = where.partition(":")
    if name not in DRIVERS:
        raise unknown_name("place to measure", name, DRIVERS)
    driver = DRIVERS[name]
    if colon and (driver.place is None or not place):
        wanted = "nothing" if driver.place is None else f"a {driver.place}"
        raise UsageError(
            f"cannot measure on '{where}'",
            why=f"'{name}:' is followed by '{place}', {wanted} may follow it",
            fix=f"--on {name}",
        )
    return driver, place or None


def known_places() -> str:
    """Every form of `--on` with its summary, for `--help`."""
    return "; ".join(
        f"{name}{f'[:{m.place}]' if m.place else ''} ({m.summary})" for name, m in DRIVERS.items()
    )
