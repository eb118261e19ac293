"""The drivers that measure artefacts, by name; none is imported before it is used.

A new device is a module with a `Measure` function, a `Check` and an entry in `DRIVERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agecompact import imports
from agecompact.artifacts.manifest import Build
from agecompact.bench.files import BuildFile, files_opened_by, measured_files
from agecompact.bench.record import Record
from agecompact.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Settings:
    """How to measure. Each driver uses the settings that apply to it.

    Attributes:
        threads: Thread counts, each measured separately.
        batches: Faces per inference, each measured separately if the artefact accepts it.
        rounds: Alternating rounds; every artefact runs once in each.
        profile: Whether to measure the time per op as well.
        place: The part of `--on` after the colon, such as a serial; None without one.
        samples: How many inputs of the golden pack an emulated processor runs; None for a few.
    """

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    rounds: int = 20
    profile: bool = False
    place: str | None = None
    samples: int | None = None


# Called once with the name of each artefact that is measured.
Report = Callable[[str], None]
# Measures every artefact of a build that the device can run, and returns the records without a
# verdict. An artefact that cannot be measured has a record with its `failure`.
Measure = Callable[[Build, Settings, Report], tuple[Record, ...]]
# Says in a few words what would measure, for the part of `--on` after the colon; raises the
# `AgecompactError` of that place, such as a `BackendMissingError`, if nothing could.
Check = Callable[[str | None], str]


@dataclass(frozen=True)
class Driver:
    """An entry of `DRIVERS`.

    Attributes:
        measure: `module:function` of its `Measure`.
        check: `module:function` of its `Check`.
        summary: What it measures, for `--help`.
        runtime: The runtime whose files it measures, such as `litert`; None for every file.
        place: What may follow the colon of `--on`, for `--help`; None for nothing.
        commands: `module:command` of verbs of `bench` with options of their own, by name.
    """

    measure: str
    check: str
    summary: str
    runtime: str | None = None
    place: str | None = None
    commands: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Measure:
        """Imports the driver."""
        measure: Measure = imports.resolve(self.measure)
        return measure

    def available(self, place: str | None) -> str:
        """What would measure there, in a few words.

        Args:
            place: The part of `--on` after the colon; None without one.

        Raises:
            BackendMissingError: What it measures with is missing on this machine.
            UsageError: There is no such place.
        """
        check: Check = imports.resolve(self.check)
        return check(place)

    def files(self, build: Build) -> tuple[BuildFile, ...]:
        """The files of a build that it measures."""
        return files_opened_by(self.runtime, build) if self.runtime else measured_files(build)


DRIVERS: Mapping[str, Driver] = {
    "host": Driver(
        "agecompact.bench.host:measure_build",
        "agecompact.bench.host:available",
        "latency on this machine",
    ),
    "web": Driver(
        "agecompact.bench.web:measure_build",
        "agecompact.bench.web:available",
        "latency in a browser on this machine",
    ),
    "emulated": Driver(
        "android_bench.emulated.driver:measure_build",
        "android_bench.emulated.driver:available",
        "ARM instructions on an emulated core",
        runtime="litert",
        place="CORE",
    ),
    "adb": Driver(
        "android_bench.adb.measure:measure_build",
        "android_bench.adb.measure:available",
        "latency on an Android phone",
        runtime="litert",
        place="SERIAL",
        commands={
            "adb": "android_bench.adb.command:adb",
            "ai-benchmark": "android_bench.adb.command:ai_benchmark_group",
        },
    ),
    "mac": Driver(
        "ios_bench.mac:measure_build",
        "ios_bench.mac:available",
        "latency of Core ML on this Mac",
        runtime="coreml",
        place="UNIT,...",
    ),
    "ios": Driver(
        "ios_bench.devices:measure_build",
        "ios_bench.devices:available",
        "latency of Core ML on a device connected to this Mac",
        runtime="coreml",
        place="DEVICE[/UNIT,...]",
    ),
}


def driver_commands() -> Mapping[str, str]:
    """Returns `module:command` of every driver's own verbs, by name."""
    return {name: verb for d in DRIVERS.values() for name, verb in d.commands.items()}


def parse_place(where: str) -> tuple[Driver, str | None]:
    """Splits the argument of `--on` into a driver and what follows the colon.

    Raises:
        UsageError: Unknown driver, or one that takes nothing after its name.
    """
    name, colon, place = where.partition(":")
    if name not in DRIVERS:
        raise unknown_name("place to measure", name, DRIVERS)
    driver = DRIVERS[name]
    if colon and (driver.place is None or not place):
        wanted = "nothing" if driver.place is None else f"a {driver.place}"
        raise UsageError(
            f"cannot measure on '{where}'",
            why=f"'{name}:' must be followed by {wanted}, not '{place}'",
            fix=f"--on {name}",
        )
    return driver, place or None


def known_places() -> str:
    """Returns every form of `--on` with its summary, for `--help`."""
    return "; ".join(
        f"{name}{f'[:{d.place}]' if d.place else ''} ({d.summary})" for name, d in DRIVERS.items()
    )
