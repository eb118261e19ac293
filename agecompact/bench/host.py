"""Latency on this machine, as a ratio to the float32 TFLite file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from agecompact import formats
from agecompact.artifacts import golden
from agecompact.artifacts.golden import GoldenPack
from agecompact.artifacts.manifest import Build
from agecompact.bench import pairing, profiling
from agecompact.bench.accuracy import OutputMismatch
from agecompact.bench.circumstances import Conditions, Runtime
from agecompact.bench.contestant import Contestant, face_like, load_contestant
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.figures import Memory
from agecompact.bench.files import BuildFile, described, measured_files
from agecompact.bench.machine import conditions, thermal, this_machine
from agecompact.bench.pairing import TimedRounds, variant_of
from agecompact.bench.record import Record, now
from agecompact.bench.rounds import alternate
from agecompact.bench.timing import Latency
from agecompact.errors import UsageError
from agecompact.runtimes.process import RuntimeFailure
from agecompact.runtimes.reading import Reader
from agecompact.runtimes.registry import runtime_of


def available(place: str | None) -> str:  # noqa: ARG001 - there is one host.
    """This machine, as a record names it."""
    machine = this_machine()
    return f"{machine.cpu}, {machine.cores or 'unknown'} cores"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every artefact of a build, and PyTorch itself on the source weights.

    Args:
        build: The build. Output errors are measured if it holds a golden pack.
        settings: Threads, batch sizes and rounds. All combinations alternate.
        report: Receives each artefact's name once it is loaded.

    Returns:
        A record for each file, thread count and batch size, in that order, the weights file first.
        Where one does not run, or takes no such batch, `failure` holds the reason.

    Raises:
        UsageError: A file is missing, or the golden pack cannot be read.
    """
    files = measured_files(build)
    contestants = [(file, runtime_of(file.path)) for file in files]
    # Some are made to prove a file, and take seconds for an image.
    timed = [(file, runtime) for file, runtime in contestants if not runtime.slow]
    return measure(build, timed, settings, report)


def measure(
    build: Build,
    files: Sequence[tuple[BuildFile, formats.Runtime]],
    settings: Settings,
    report: Report = lambda _: None,
) -> tuple[Record, ...]:
    """Measures files of a build in given runtimes on this machine; see `measure_build`.

    Args:
        build: The build.
        files: The files, each with a runtime. Ratios refer to the first of the float32 TFLite file.
        settings: As for `measure_build`.
        report: Likewise.
    """
    pack = golden.read_if_there(build.folder / golden.FOLDER)
    records: list[Record] = []
    contestants: list[Contestant] = []
    with ExitStack() as stack:
        reader = stack.enter_context(Reader())
        for file, runtime in files:
            for blank in _blanks(file, runtime, settings):
                loaded = load_contestant(stack, reader, file, blank, settings.rounds)
                if isinstance(loaded, Contestant):
                    contestants.append(loaded)
                    continue
                records.append(loaded)
                # A file that does not load would not load with more threads either.
                if loaded.runtime.version is None:
                    break
            report(file.path.name)
        before = thermal()
        failures = alternate(contestants, range(settings.rounds), Contestant.run_round)
        meanwhile = conditions(before, thermal())
        finished = [each for each in contestants if each not in failures]
        reference = pairing.reference(build, map(_timed, finished), min(settings.threads))
        measured = [_finish(each, reference, meanwhile, pack) for each in finished]
        if settings.profile:
            measured = [_profiled(r, each) for r, each in zip(measured, finished, strict=True)]
    records += [*failures.values(), *measured]
    order = [(file.path.name, runtime.name) for file, runtime in files]

    def place(record: Record) -> tuple[int, int, int]:
        key = (record.artifact.file, record.runtime.name)
        return (order.index(key), *variant_of(record))

    return tuple(sorted(records, key=place))


def _blanks(file: BuildFile, runtime: formats.Runtime, settings: Settings) -> list[Record]:
    """A record for each thread count and batch size, before anything is measured."""
    blank = Record(
        source="host",
        artifact=described(file),
        machine=this_machine(),
        runtime=Runtime(name=runtime.name),
        taken_at=now(),
        failure="not measured yet",
    )
    return [
        replace(blank, runtime=replace(blank.runtime, threads=threads, batch=batch))
        for threads in sorted(set(settings.threads))
        for batch in sorted(set(settings.batches))
    ]


def _timed(contestant: Contestant) -> TimedRounds:
    return TimedRounds(contestant.record, contestant.rounds_ms)


def _finish(
    contestant: Contestant,
    reference: TimedRounds | None,
    meanwhile: Conditions,
    pack: GoldenPack | None,
) -> Record:
    # Read before the golden inputs are loaded, which take memory too.
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
        ratio=pairing.ratio(_timed(contestant), reference),
    )
    if pack is None:
        return record
    try:
        return replace(record, output_error=contestant.replay(pack))
    except UsageError as error:
        return replace(record, unknown={**(record.unknown or {}), "output_error": error.what})
    except (RuntimeFailure, OutputMismatch) as failure:
        # It ran on one input and fails on another: the file is broken, and so are its times.
        return replace(record, latency=None, ratio=None, failure=f"golden input: {failure}")


def _profiled(record: Record, contestant: Contestant) -> Record:
    threads, batch = variant_of(record)
    inputs = face_like(contestant.contract, batch)
    profile = profiling.take(contestant.file.path, record.runtime.name, threads, inputs)
    if profile.reason is not None:
        return replace(record, unknown={**(record.unknown or {}), "profile": profile.reason})
    return replace(record, profile=profile.ops)
