"""The verb `bench`: measures a build, compares two measurements, breaks files down."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agecompact.artifacts.manifest import read_builds
from agecompact.bench import store, tables
from agecompact.bench.diff import Comparison, compare
from agecompact.bench.drivers import Settings, driver_commands, known_places, parse_place
from agecompact.bench.files import described, measured_files, readable, reject
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.console.common import emit, json_option, progress, screen, show
from agecompact.console.groups import BUILD, BUILDS, DefaultGroup
from agecompact.errors import GateError, UndecidedError
from agecompact.serialization import unstructure

_DIFF_SCHEMA_VERSION = 2
_SIZE_SCHEMA_VERSION = 1
_MEASURE_AGAIN = """\
measure all files of A again, on an idle and cool machine, with more rounds than the default 20:
agecompact bench {0} --rounds 60
or count instructions in A and B, which other programs do not disturb:
agecompact bench {0} --on emulated:cortex-a76"""


@click.group(cls=DefaultGroup, default="measure", elsewhere=driver_commands())
def command() -> None:
    """Measure what the artefacts of a build cost.

    `bench BUILD` is short for `bench measure BUILD`.
    """


class _Percent(click.ParamType[float]):
    """A fraction, written `5%` or `0.05`."""

    name = "percent"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        number, sign, rest = str(value).partition("%")
        try:
            fraction = float(number) / (100 if sign else 1)
        except ValueError:
            fraction = -1.0
        if rest or not 0 <= fraction < float("inf"):
            self.fail(f"'{value}' is not a threshold such as 5%", param, ctx)
        return fraction


@command.command("measure")
@click.argument("build", type=BUILD, default=BUILDS)
@click.option(
    "--on",
    "places",
    multiple=True,
    default=("host",),
    show_default=True,
    help=f"Where to measure; may be repeated: {known_places()}.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    default=(1,),
    show_default=True,
    help="Number of threads; may be repeated.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1),
    multiple=True,
    default=(1,),
    show_default=True,
    help="Faces per inference, for artefacts that accept it; may be repeated.",
)
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=20,
    show_default=True,
    help="Rounds in which the artefacts alternate.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="Inputs of the golden pack that an emulated processor runs; default: 4.",
)
@click.option("--profile", is_flag=True, help="Measure the time per op too, if the runtime can.")
@json_option
def _measure(
    build: Path,
    places: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    rounds: int,
    samples: int | None,
    profile: bool,
    json_target: str | None,
) -> None:
    """Measure the artefacts of a build.

    Adds to latency.json in the build folder. A record replaces the earlier one of the same file,
    source, machine, runtime, threads and batch; all others are kept. On the host, artefacts are
    timed alternately, round by round, and reported as a ratio to the float32 TFLite file, since
    absolute times depend on the machine. Exits with 1 if a file of the build is missing or is not
    a regular file, after it has measured the others, or if nothing could be measured.
    """
    drivers = [(where, *parse_place(where)) for where in places]
    builds = read_builds(build)
    # Before anything is measured, so that no place is missed after minutes on another, and a fault
    # of the place is not hidden by one of the build.
    for _, driver, place in drivers:
        driver.available(place)
    console = screen(json_target)
    path = build / store.FILE_NAME
    records: list[Record] = []
    faults: list[str] = []
    for where, driver, place in drivers:
        measure = driver.load()
        found = readable(builds, driver.files)
        faults += found.faults
        settings = Settings(threads, batches, rounds, profile, place, samples)
        files = sum(len(driver.files(each)) for each in found.builds)
        with progress(console, f"bench on {where}", files) as stages:
            for each in found.builds:
                measured = [validated(record) for record in measure(each, settings, stages.done)]
                # Saved at once, so that unplugging a phone loses only what comes after it.
                store.add(path, measured)
                records += measured
    if not records:
        reject(faults)
    emit(store.to_json(store.read(path)), json_target)
    for table in (*tables.measured(records), *tables.profiles(records)):
        show(console, table)
    show(console, tables.sizes(r.artifact for r in records))
    reject(faults)
    if all(record.failure is not None for record in records):
        why = (records[0].failure or "") if records else f"{', '.join(places)} measured nothing"
        raise GateError("nothing could be measured", why=why)


@command.command("size")
@click.argument("build", type=BUILD, default=BUILDS)
@json_option
def _size(build: Path, json_target: str | None) -> None:
    """Break down the bytes of each artefact."""
    found = readable(read_builds(build), measured_files)
    artifacts = [described(file) for each in found.builds for file in measured_files(each)]
    show(screen(json_target), tables.sizes(artifacts))
    content = {
        "schema_version": _SIZE_SCHEMA_VERSION,
        "artifacts": [unstructure(artifact) for artifact in artifacts],
    }
    emit(content, json_target)
    reject(found.faults)


@command.command("diff")
@click.argument("before", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("after", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--threshold",
    type=_Percent(),
    default="5%",
    show_default=True,
    help="Growth beyond which a figure is a regression; for instructions of one thread it is 0.",
)
@click.option("--absolute", is_flag=True, help="Compare times of the same host too.")
@json_option
def _diff(
    before: Path, after: Path, threshold: float, absolute: bool, json_target: str | None
) -> None:
    """Compare two latency.json; exit with 1 on a regression, with 5 if it cannot tell.

    Sizes, ratios and instructions are comparable between machines, times only on the same device.
    A figure cannot be judged if its record is invalid in A or B, for example because the machine
    was busy or hot, or if noise hides a growth of the threshold. What only A has cannot be judged
    either; what only B has is new, and listed.
    """
    comparisons = compare(store.read(before), store.read(after), threshold, absolute=absolute)
    console = screen(json_target)
    for table in tables.compared(comparisons):
        show(console, table)
    emit(_diff_json(comparisons, threshold), json_target)
    worse = [c for c in comparisons if c.verdict == "regression"]
    if worse:
        raise GateError(
            f"{len(worse)} regressions beyond {threshold:.3g}",
            why="; ".join(_summary(c) for c in worse),
        )
    if undecided := _undecided(comparisons):
        raise UndecidedError(
            f"{len(undecided)} figures cannot be judged",
            why="\n".join(undecided),
            fix=_MEASURE_AGAIN.format(shlex.quote(str(after.parent))),
        )


def _undecided(comparisons: tuple[Comparison, ...]) -> list[str]:
    """What nobody knows after a comparison, and why, a line each."""
    lines = [f"{_named(c)}: {c.reason}" for c in comparisons if c.verdict == "refused"]
    lines += [f"{_named(c)}: B has no measurement" for c in comparisons if c.verdict == "only in A"]
    if not any(c.verdict in ("same", "better") for c in comparisons):
        lines.append("A and B have no file, source, runtime and thread count in common")
    return lines


def _named(comparison: Comparison) -> str:
    subject = comparison.subject
    return f"{subject.file} on {subject.source}, {comparison.figure}"


def _summary(comparison: Comparison) -> str:
    change = comparison.change
    text = comparison.reason if change is None else f"{change:+.1%}"
    return f"{comparison.subject.file} {comparison.figure} {text}"


def _diff_json(comparisons: tuple[Comparison, ...], threshold: float) -> dict[str, Any]:
    rows = [{**asdict(c), "change": c.change} for c in comparisons]
    return {"schema_version": _DIFF_SCHEMA_VERSION, "threshold": threshold, "rows": rows}
