"""The verb `bench`: measures a build, compares two measurements, tells what bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agecompact.artifacts.manifest import read_builds
from agecompact.bench import store, tables
from agecompact.bench.diff import Row, compare
from agecompact.bench.drivers import Settings, known_places, resolve
from agecompact.bench.files import described, measured_files
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.console.common import emit, json_option, progress, screen
from agecompact.console.groups import DefaultGroup
from agecompact.errors import GateError, UsageError
from agecompact.serialization import unstructure

_DIFF_SCHEMA_VERSION = 1
_SIZE_SCHEMA_VERSION = 1

# Commands of harnesses that need options of their own, none of them loaded before it is called.
_ELSEWHERE: Mapping[str, str] = {
    "adb": "android_bench.adb.command:adb",
    "ai-benchmark": "android_bench.adb.command:ai_benchmark_group",
}


@click.group(cls=DefaultGroup, default="measure", elsewhere=_ELSEWHERE)
def command() -> None:
    """Measure what the artefacts of a build cost.

    `bench BUILD` is `bench measure BUILD`.
    """


class _Percent(click.ParamType[float]):
    """A fraction, spelt `5%` or `0.05`."""

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
            self.fail(f"'{value}' is no threshold such as 5%", param, ctx)
        return fraction


@command.command("measure")
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"))
@click.option(
    "--on",
    "places",
    multiple=True,
    default=("host",),
    show_default=True,
    help=f"Where to measure, as often as wanted: {known_places()}.",
)
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1,), show_default=True)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1),
    multiple=True,
    default=(1,),
    show_default=True,
    help="Faces an inference, where an artefact takes as many.",
)
@click.option("--rounds", type=click.IntRange(2), default=20, show_default=True)
@click.option("--profile", is_flag=True, help="Tell times by op too, where a runtime does.")
@json_option
def _measure(
    build: Path,
    places: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    rounds: int,
    profile: bool,
    json_target: str | None,
) -> None:
    """Measure the artefacts of a build.

    Adds to latency.json in the build folder: a record takes the place of its predecessor of the
    same file, source, machine, runtime, threads and batch; all others stay. On the host, artefacts
    are timed in turn, round by round, and told as a ratio to the float32 TFLite file: absolute
    times belong to the machine they were taken on. Exits with 1 if nothing could be measured.
    """
    harnesses = [(where, *resolve(where)) for where in places]
    builds = read_builds(build)
    console = screen(json_target)
    path = build / store.FILE_NAME
    found: list[Record] = []
    for where, driver, place in harnesses:
        harness = driver.load()
        settings = Settings(threads, batches, rounds, profile, place)
        files = sum(len(measured_files(each)) for each in builds)
        with progress(console, f"bench on {where}", files) as step:
            for each in builds:
                measured = [validated(record) for record in harness(each, settings, step)]
                # Kept at once: a phone that is unplugged takes what comes after it, no more.
                store.add(path, measured)
                found += measured
    emit(store.to_json(store.read(path)), json_target)
    for table in tables.measured(found):
        console.print(table)
    for table in tables.profiles(found):
        console.print(table)
    console.print(tables.sizes(r.artifact for r in found))
    if all(record.failure is not None for record in found):
        why = (found[0].failure or "") if found else f"{', '.join(places)} measured nothing"
        raise GateError("nothing could be measured", why=why)


@command.command("size")
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"))
@json_option
def _size(build: Path, json_target: str | None) -> None:
    """Tell what the bytes of each artefact are, and how few they could be."""
    artifacts = [described(file) for each in read_builds(build) for file in measured_files(each)]
    screen(json_target).print(tables.sizes(artifacts))
    content = {
        "schema_version": _SIZE_SCHEMA_VERSION,
        "artifacts": [unstructure(artifact) for artifact in artifacts],
    }
    emit(content, json_target)


@command.command("diff")
@click.argument("before", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("after", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--threshold",
    type=_Percent(),
    default="5%",
    show_default=True,
    help="Growth beyond which a figure is a regression; instructions of one thread know none.",
)
@click.option("--absolute", is_flag=True, help="Compare times of one and the same host too.")
@json_option
def _diff(
    before: Path, after: Path, threshold: float, absolute: bool, json_target: str | None
) -> None:
    """Compare two latency.json; exit with 1 on a regression.

    Sizes, ratios and instructions compare between machines, times on the same device alone.
    """
    rows = compare(store.read(before), store.read(after), threshold, absolute=absolute)
    decided = [row for row in rows if row.verdict in ("same", "better", "regression")]
    if not decided:
        raise UsageError(
            f"nothing in {before} compares with {after}",
            why="they have no file, source, runtime and thread count in common",
        )
    screen(json_target).print(tables.compared(rows))
    emit(_diff_json(rows, threshold), json_target)
    worse = [row for row in rows if row.verdict == "regression"]
    if worse:
        raise GateError(
            f"{len(worse)} regressions beyond {threshold:.3g}",
            why="; ".join(_told(row) for row in worse),
        )


def _told(row: Row) -> str:
    change = row.reason if row.change is None else f"{row.change:+.1%}"
    return f"{row.subject.file} {row.figure} {change}"


def _diff_json(rows: tuple[Row, ...], threshold: float) -> dict[str, Any]:
    told = [{**asdict(row), "change": row.change} for row in rows]
    return {"schema_version": _DIFF_SCHEMA_VERSION, "threshold": threshold, "rows": told}
