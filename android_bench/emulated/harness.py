"""The harness behind `bench --on emulated`: a record for every TFLite file of a build."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.figures import Instructions
from agecompact.bench.files import described, measured_files
from agecompact.bench.record import Artifact, Record
from agecompact.errors import UsageError
from android_bench.emulated import cpus, emulator, stored
from android_bench.emulated.cpus import Cpu
from android_bench.emulated.measure import EmulatedRun, measure
from android_bench.emulated.stored import Bundle
from android_bench.native.failure import RunnerFailure

_DEFAULT_CPU = "cortex-a76"
_XNNPACK = "xnnpack"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Counts the ARM instructions of a build's TFLite files.

    Other cores being busy moves no count, so files are measured at once, one a core of this
    machine.

    Args:
        build: The build, a golden pack in it.
        settings: `place` is the processor, `cortex-a76` or `a76`. Threads and batches other than 1
            are left out: the count of several threads does not repeat.
        report: Told each file's name.

    Returns:
        A record for each TFLite file; one that does not run there has its reason in `failure`.

    Raises:
        UsageError: No such processor, only other threads or batches are asked for, or the build's
            golden pack cannot be read.
        BackendMissingError: There is no ARM bundle.
    """
    cpu = _named(settings.place or _DEFAULT_CPU)
    if 1 not in settings.threads or 1 not in settings.batches:
        raise UsageError(
            "instructions are counted for one thread and one face",
            why="the count of several threads does not repeat",
            fix="--threads 1 --batch 1",
        )
    pack = build.folder / golden.FOLDER
    golden.read(pack)
    bundle = stored.load()
    files = [file for file in measured_files(build) if file.format == "tflite"]
    blanks = [_blank(described(file), cpu, bundle) for file in files]

    def one(path: Path, blank: Record) -> Record:
        report(path.name)
        try:
            return _finished(blank, cpu, measure(bundle, cpu, path, pack))
        except RunnerFailure as failure:
            return replace(blank, failure=str(failure))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(one, [file.path for file in files], blanks))


def _named(place: str) -> Cpu:
    long = f"cortex-{place}"
    return cpus.named(long if long in cpus.known() else place)


def _blank(artifact: Artifact, cpu: Cpu, bundle: Bundle) -> Record:
    """The record of a file of which nothing is known but what it is."""
    qemu = f"qemu-user {emulator.version(bundle)} -cpu {cpu.name}"
    return Record(
        source="emulated-instructions",
        artifact=artifact,
        machine=Machine(
            cpu=cpu.name,
            os="Linux",
            abi="aarch64",
            cores=1,
            emulator=f"{qemu}, bundle {bundle.index.guest_sha256[:12]}",
        ),
        runtime=Runtime(name="litert", version=f"litert {bundle.index.litert}", threads=1),
        failure="not measured yet",
    )


def _finished(blank: Record, cpu: Cpu, run: EmulatedRun) -> Record:
    delegate = Delegate(
        asked=_XNNPACK,
        got=_XNNPACK if run.xnnpack else None,
        fallback_ops={} if run.fully_accelerated else None,
    )
    return replace(
        blank,
        runtime=replace(blank.runtime, delegate=delegate),
        instructions=_instructions(run, cpu, blank.artifact),
        output_error=run.output_error,
        failure=None,
    )


def _instructions(run: EmulatedRun, cpu: Cpu, artifact: Artifact) -> Instructions:
    bound = cpu.bound(artifact.macs, artifact.precision) if artifact.macs else None
    return Instructions(
        total=run.instructions.total,
        totals=run.totals,
        inferences=run.inferences,
        init=run.init_instructions,
        first=run.first_inference_instructions,
        load=run.instructions.load,
        store=run.instructions.store,
        multiply_accumulate=run.instructions.multiply_accumulate,
        simd=run.instructions.simd,
        branch=run.instructions.branch,
        bound=bound[0] if bound else None,
        bound_basis=bound[1] if bound else None,
    )
