"""`bench --on emulated`: a record for every TFLite file of a build."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Machine, Runtime
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import described, files_opened_by
from agecompact.bench.record import Artifact, Record
from agecompact.errors import UsageError
from agecompact.precisions import PRECISIONS
from android_bench.emulated import bundle, cpus, emulator
from android_bench.emulated.bundle import Bundle
from android_bench.emulated.cpus import Cpu
from android_bench.emulated.emulator import EmulationSettings
from android_bench.emulated.measure import measure
from android_bench.failure import MeasurementFailure

_DEFAULT_CPU = "cortex-a76"
_RUNTIME = "litert"


def available(place: str | None) -> str:
    """The emulated processor.

    Args:
        place: `cortex-a76` or `a76`; None for the default.

    Raises:
        UsageError: There is no such processor.
        BackendMissingError: There is no ARM bundle, or its emulator does not run here.
    """
    cpu = _cpu_named(place or _DEFAULT_CPU)
    loaded = bundle.load()
    return f"{cpu.name}, qemu {emulator.version(loaded)}, LiteRT {loaded.index.litert}"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Counts the ARM instructions of a build's TFLite files.

    Busy cores do not change a count, so each core of this machine measures another file.

    Args:
        build: The build, with a golden pack in it.
        settings: `place` is the processor, `cortex-a76` or `a76`. Threads and batches other than 1
            are left out, because counts of several threads do not repeat.
        report: Receives each file's name once it is measured.

    Returns:
        A record for each TFLite file; where one does not run, `failure` holds the reason.

    Raises:
        UsageError: There is no such processor, only other threads or batches are wanted, or the
            golden pack cannot be read.
        BackendMissingError: There is no ARM bundle.
    """
    cpu = _cpu_named(settings.place or _DEFAULT_CPU)
    if 1 not in settings.threads or 1 not in settings.batches:
        raise UsageError(
            "instructions are counted with one thread and one face",
            why="the counts of several threads do not repeat",
            fix="--threads 1 --batch 1",
        )
    pack_folder = build.folder / golden.FOLDER
    golden.read(pack_folder)
    loaded = bundle.load()
    files = files_opened_by(_RUNTIME, build)
    blanks = [_blank(described(file), cpu, loaded) for file in files]
    amount = EmulationSettings()
    if settings.samples is not None:
        amount = replace(amount, samples=settings.samples)

    def record(path: Path, blank: Record) -> Record:
        try:
            return _with_bound(measure(loaded, cpu, path, pack_folder, blank, amount), cpu)
        except MeasurementFailure as failure:
            return replace(blank, failure=str(failure))
        finally:
            report(path.name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(record, [file.path for file in files], blanks))


def _cpu_named(place: str) -> Cpu:
    long_name = f"cortex-{place}"
    return cpus.named(long_name if long_name in cpus.known() else place)


def _blank(artifact: Artifact, cpu: Cpu, loaded: Bundle) -> Record:
    """The record of a file before anything is measured."""
    qemu = f"qemu-user {emulator.version(loaded)} -cpu {cpu.name}"
    return Record(
        source="emulated-instructions",
        artifact=artifact,
        machine=Machine(
            cpu=cpu.name,
            os="Linux",
            abi="aarch64",
            cores=1,
            emulator=f"{qemu}, bundle {loaded.index.guest_sha256[:12]}",
        ),
        runtime=Runtime(name=_RUNTIME, version=f"litert {loaded.index.litert}", threads=1),
        failure="not measured yet",
    )


def _with_bound(record: Record, cpu: Cpu) -> Record:
    precision = PRECISIONS.get(record.artifact.precision)
    arithmetic, macs = precision and precision.arithmetic, record.artifact.macs
    bound = cpu.bound(macs, arithmetic) if arithmetic and macs else None
    if record.instructions is None or bound is None:
        return record
    fewest, basis = bound
    return replace(
        record, instructions=replace(record.instructions, bound=fewest, bound_basis=basis)
    )
