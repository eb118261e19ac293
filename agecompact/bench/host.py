"""Latency on the machine at hand, told as a ratio to the float32 TFLite file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from agecompact.artifacts import golden
from agecompact.artifacts.golden import GoldenPack
from agecompact.artifacts.manifest import Build
from agecompact.bench import pairing, profiling, replay
from agecompact.bench.circumstances import Conditions, Runtime
from agecompact.bench.contest import Contestant, enter, face_like, race
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.figures import Memory
from agecompact.bench.files import BuildFile, described, measured_files
from agecompact.bench.machine import conditions, thermal, this_machine
from agecompact.bench.pairing import Paired, variant_of
from agecompact.bench.record import Record, now
from agecompact.bench.timing import Latency
from agecompact.runtimes.process import RuntimeFailure
from agecompact.runtimes.registry import runtime_of


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every artefact of a build, and PyTorch itself on the source weights.

    Args:
        build: The build; the error of every output is told if it holds a golden pack.
        settings: Threads, batches and rounds. All of them race at once.
        report: Told each artefact's name as it is loaded.

    Returns:
        A record for each file, thread count and batch, in that order, the weights file first. One
        that does not run here, or takes no such batch, has its reason in `failure`.

    Raises:
        UsageError: A file is missing, or the golden pack there cannot be read.
    """
    pack = golden.read_if_there(build.folder / golden.FOLDER)
    files = measured_files(build)
    records: list[Record] = []
    contestants: list[Contestant] = []
    with ExitStack() as stack:
        for file in files:
            report(file.path.name)
            for blank in _blanks(file, settings):
                entered = enter(stack, file, blank, settings.rounds)
                if isinstance(entered, Contestant):
                    contestants.append(entered)
                    continue
                records.append(entered)
                # What does not load does not load with more threads either.
                if entered.runtime.version is None:
                    break
        before = thermal()
        running, failed = race(contestants, settings.rounds)
        meanwhile = conditions(before, thermal())
        reference = pairing.reference(build, map(_paired, running), min(settings.threads))
        measured = [_finish(c, reference, meanwhile, pack) for c in running]
        if settings.profile:
            measured = [_profiled(r, c) for r, c in zip(measured, running, strict=True)]
    order = [file.path.name for file in files]
    records += [*failed, *measured]
    return tuple(sorted(records, key=lambda r: (order.index(r.artifact.file), *variant_of(r))))


def _blanks(file: BuildFile, settings: Settings) -> list[Record]:
    """The records of a file, of which nothing is known yet but what it is."""
    blank = Record(
        source="host",
        artifact=described(file),
        machine=this_machine(),
        runtime=Runtime(name=runtime_of(file.path).name),
        taken_at=now(),
        failure="not measured yet",
    )
    return [
        replace(blank, runtime=replace(blank.runtime, threads=threads, batch=batch))
        for threads in sorted(set(settings.threads))
        for batch in sorted(set(settings.batches))
    ]


def _paired(contestant: Contestant) -> Paired:
    return Paired(contestant.record, contestant.rounds_ms)


def _finish(
    contestant: Contestant,
    reference: Paired | None,
    meanwhile: Conditions,
    pack: GoldenPack | None,
) -> Record:
    # Before the golden inputs, which take memory of their own.
    memory = contestant.process.memory()
    record = replace(
        contestant.record,
        failure=None,
        latency=Latency.of(
            contestant.samples_ms(),
            warmup_runs=contestant.warmup_runs,
            rounds=len(contestant.rounds_ms),
            elapsed_s=contestant.elapsed_s,
        ),
        memory=Memory(
            peak_rss_bytes=memory.peak_rss_bytes,
            model_rss_bytes=memory.peak_rss_bytes - memory.rss_before_load_bytes,
        ),
        conditions=meanwhile,
        ratio=pairing.ratio(_paired(contestant), reference),
    )
    if pack is None:
        return record
    try:
        error = replay.output_error(
            contestant.process,
            contestant.contract,
            pack,
            record.artifact.file,
            record.runtime.batch,
        )
    except RuntimeFailure as failure:
        # Timed on one input, it fails on another: its times are a broken file's.
        return replace(record, latency=None, ratio=None, failure=f"golden input: {failure}")
    return replace(record, output_error=error)


def _profiled(record: Record, contestant: Contestant) -> Record:
    threads, batch = variant_of(record)
    inputs = face_like(contestant.contract, batch)
    told = profiling.take(contestant.file.path, record.runtime.name, threads, inputs)
    if told.reason is not None:
        return replace(record, unknown={**(record.unknown or {}), "profile": told.reason})
    return replace(record, profile=told.ops)
