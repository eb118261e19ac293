"""The verb `bench`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agecompact.commands.common import emit, json_option, progress, screen
from agecompact.errors import GateError, unknown_name
from agecompact.files import pretty_json, write_text
from agecompact.latency import SCHEMA_VERSION, Record
from agecompact.manifest import Build, read_builds
from android_bench import host

if TYPE_CHECKING:
    from rich.table import Table

Harness = Callable[[Build, host.Settings, Callable[[str], None]], tuple[Record, ...]]

HARNESSES: dict[str, Harness] = {"host": host.measure}


@click.command()
@click.argument("build", type=click.Path(path_type=Path), default=Path("build"))
@click.option("--on", "where", default="host", show_default=True, help="Where to measure.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=20, show_default=True)
@json_option
def command(build: Path, where: str, threads: int, rounds: int, json_target: str | None) -> None:
    """Measure what the artefacts of a build cost.

    Writes latency.json into the build folder. Artefacts are timed in turn, round by round, and told
    as a ratio to the float32 TFLite file: absolute times belong to the machine they were taken on.
    """
    if where not in HARNESSES:
        raise unknown_name("place to measure", where, HARNESSES)
    builds = read_builds(build)
    console = screen(json_target)
    settings = host.Settings(threads=threads, rounds=rounds)
    records: list[Record] = []
    files = sum(len(b.manifest.artifacts) + 1 for b in builds)
    with progress(console, "bench", files) as step:
        for each in builds:
            records.extend(HARNESSES[where](each, settings, step))
    content = {"schema_version": SCHEMA_VERSION, "records": [asdict(r) for r in records]}
    write_text(build / "latency.json", pretty_json(content))
    emit(content, json_target)
    console.print(_table(records))
    if all(record.latency_ms is None for record in records):
        raise GateError("nothing could be measured", why=records[0].reason)


def _table(records: list[Record]) -> Table:
    from rich.table import Table

    machine = records[0].machine
    table = Table(
        title=f"Host latency, {records[0].threads} thread, batch 1\n{machine.cpu}, {machine.os}",
        caption="ratio: to the float32 TFLite file of the model, paired by round (p10-p90)",
    )
    table.add_column("file", overflow="fold")
    for heading in ("ratio", "p50 ms", "p90 ms", "first ms", "init ms", "memory MB"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("XNNPACK")
    for r in records:
        if r.latency_ms is None:
            table.add_row(r.artifact, "-", "-", "-", "-", "-", "-", r.reason)
            continue
        ratio = "-"
        if r.ratio_to_reference is not None:
            ratio = f"{r.ratio_to_reference:.2f} ({r.ratio_p10:.2f}-{r.ratio_p90:.2f})"
        table.add_row(
            r.artifact,
            ratio,
            f"{r.latency_ms.p50:.3f}",
            f"{r.latency_ms.p90:.3f}",
            f"{r.first_inference_ms:.2f}",
            f"{r.init_ms:.1f}",
            f"{(r.model_rss_bytes or 0) / 1e6:.1f}",
            _placement(r),
        )
    return table


def _placement(record: Record) -> str:
    if record.delegate_partitions is None:
        return "-"
    fallback = ", ".join(f"{n} {op}" for op, n in (record.fallback_ops or {}).items())
    return f"{record.delegate_partitions} partition(s), fell back: {fallback or 'none'}"
