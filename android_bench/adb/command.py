"""The verbs `bench adb` and `bench ai-benchmark`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from agecompact.artifacts.manifest import Build, read_builds
from agecompact.bench import store, tables
from agecompact.bench.circumstances import Machine
from agecompact.bench.files import files_opened_by, readable, reject
from agecompact.bench.record import Record
from agecompact.bench.validity import validated
from agecompact.console.common import emit, json_option, progress, say, screen, show
from agecompact.console.groups import BUILD, BUILDS
from agecompact.errors import GateError
from android_bench.adb import ai_benchmark
from android_bench.adb.ai_benchmark import ACCELERATIONS
from android_bench.adb.delegates import DELEGATES
from android_bench.adb.measure import RUNTIME, measure
from android_bench.adb.options import ALL, ENGINES, FASTEST, Options

_PATH = click.Path(path_type=Path)
_BUILD = click.argument("build", type=BUILD, default=BUILDS)
_DEFAULTS = Options()


@click.command("adb")
@_BUILD
@click.option(
    "--serial",
    envvar="ANDROID_SERIAL",
    show_envvar=True,
    help="The device's serial; optional if only one is connected.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=_DEFAULTS.engine,
    show_default=True,
    help="agecompact's own runner, or your benchmark_model.",
)
@click.option("--benchmark-model", type=_PATH, help="Your benchmark_model, built for Android.")
@click.option(
    "--delegate", type=click.Choice(tuple(DELEGATES)), default=_DEFAULTS.delegate, show_default=True
)
@click.option(
    "--cores",
    metavar="MASK",
    default=FASTEST,
    show_default=True,
    help=f"Mask of the cores to pin to, as taskset takes it; '{ALL}' does not pin.",
)
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1,), show_default=True)
@click.option("--runs", type=click.IntRange(1), default=_DEFAULTS.runs, show_default=True)
@click.option("--warmup", type=click.IntRange(1), default=_DEFAULTS.warmup, show_default=True)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=_DEFAULTS.rounds,
    show_default=True,
    help="Rounds in which the files alternate; the runs are divided among them.",
)
@click.option("--profile", is_flag=True, help="Measure time by op too, if the engine can.")
@click.option(
    "--ledger", type=_PATH, help="Folder that remembers what was measured, to resume from."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.timeout_s,
    show_default=True,
    help="Longest that a round of one file may take, in seconds.",
)
@json_option
def adb(build: Path, json_target: str | None, **options: Any) -> None:
    """Measure a build's TFLite files on an Android device.

    The files alternate, round by round, each time in a process of its own, and the table shows
    their ratios to the float32 file. A refused delegate is recorded, and is not an error. Adds to
    latency.json in the build folder. Exits with 1 if nothing could be measured.
    """
    console = screen(json_target)
    settings = Options(**options)
    found = readable(read_builds(build), partial(files_opened_by, RUNTIME))
    records: list[Record] = []
    files = sum(len(files_opened_by(RUNTIME, each)) for each in found.builds)
    with progress(console, "bench adb", files) as stages:
        for each in found.builds:
            records += [validated(record) for record in measure(each, settings, stages.done)]
    _save_and_show(build, records, json_target)
    reject(found.faults)
    if all(record.failure is not None for record in records):
        why = (records[0].failure or "") if records else "the build holds no TFLite file"
        raise GateError("nothing could be measured", why=why)


def _save_and_show(build: Path, new: list[Record], json_target: str | None) -> None:
    records = store.add(build / store.FILE_NAME, new)
    emit(store.to_json(records), json_target)
    for table in tables.measured(new):
        show(screen(json_target), table)


@click.group("ai-benchmark")
def ai_benchmark_group() -> None:
    """Measure a build with the AI Benchmark app, and enter its result."""


@ai_benchmark_group.command("export")
@_BUILD
@click.option("--out", type=_PATH, default=Path("ai-benchmark"), show_default=True)
def _export(build: Path, out: Path) -> None:
    """Write the file for the app, and instructions."""
    for each in read_builds(build):
        say(screen(), str(ai_benchmark.export(each, out)))


@ai_benchmark_group.command("enter")
@_BUILD
@click.option("--device", required=True, help="Name of the phone.")
@click.option("--android", required=True, help="Its Android version.")
@click.option("--soc", help="Its system on a chip.")
@click.option("--acceleration", type=click.Choice(tuple(ACCELERATIONS)), required=True)
@click.option("--runs", type=click.IntRange(1), required=True)
@click.option("--mean-ms", type=float, required=True)
@click.option("--std-ms", type=float)
@click.option("--min-ms", type=float)
@click.option("--max-ms", type=float)
@click.option("--init-ms", type=float)
@click.option("--warmup", type=click.IntRange(0))
@click.option("--threads", type=click.IntRange(1))
@click.option("--version", help="The app's version.")
@json_option
def _enter(
    build: Path,
    device: str,
    android: str,
    soc: str | None,
    json_target: str | None,
    **result: Any,
) -> None:
    """Enter the app's result for the model of one build folder."""
    machine = Machine(cpu=soc or "unknown", os=f"Android {android}", name=device, soc=soc)
    record = ai_benchmark.entered(_only(build), machine, **result)
    _save_and_show(build, [validated(record)], json_target)


def _only(build: Path) -> Build:
    builds = read_builds(build)
    if len(builds) > 1:
        raise click.UsageError(f"{build} holds several models; name the folder of one")
    return builds[0]
