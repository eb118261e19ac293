"""Measures one artefact on one emulated processor: instructions and output accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agecompact.artifacts import golden
from agecompact.bench.figures import Instructions
from agecompact.bench.record import Record
from android_bench.emulated import counts, emulator
from android_bench.emulated.bundle import Bundle
from android_bench.emulated.cpus import Cpu
from android_bench.emulated.emulator import EmulationSettings
from android_bench.failure import MeasurementFailure
from android_bench.native import results


def measure(
    bundle: Bundle,
    cpu: Cpu,
    artifact: Path,
    pack_folder: Path,
    blank: Record,
    settings: EmulationSettings | None = None,
) -> Record:
    """Counts the instructions of an artefact and replays the golden pack on it.

    Args:
        bundle: What runs.
        cpu: The processor.
        artifact: A `.tflite` file.
        pack_folder: Folder of a golden pack of its model.
        blank: Its record before the measurement.
        settings: How much to run.

    Returns:
        The record with the delegate, the output error, and the instructions without a bound.

    Raises:
        MeasurementFailure: It failed, crashed, took too long, or its counts do not repeat.
        UsageError: The golden pack cannot be read.
    """
    settings = settings or EmulationSettings()
    pack = golden.read(pack_folder)
    # Only the first process runs all golden samples; the others show that its count repeats.
    samples = [settings.samples, *[1] * (settings.processes - 1)]
    processes = [
        emulator.run(bundle, cpu, artifact, pack_folder, replace(settings, samples=count))
        for count in samples
    ]
    steady = [counts.steady(p.counts, 1 + settings.warmup, settings.runs) for p in processes]
    first = processes[0]
    accuracy = results.accuracy(
        first.output, pack, artifact.name, samples=min(settings.samples, len(pack.samples))
    )
    if accuracy.not_finite:
        raise MeasurementFailure(
            "wrong-output", f"{accuracy.not_finite} of {accuracy.samples} outputs are not finite"
        )
    delegate = results.delegate(first.output, first.log)
    return replace(
        blank,
        failure=None,
        runtime=replace(blank.runtime, delegate=delegate),
        output_error=accuracy,
        instructions=Instructions(
            total=steady[0].total,
            totals=tuple(each.total for each in steady),
            inferences=settings.runs,
            init=first.counts.init.total,
            first=first.counts.inferences[0].total,
            load=steady[0].load,
            store=steady[0].store,
            multiply_accumulate=steady[0].multiply_accumulate,
            simd=steady[0].simd,
            branch=steady[0].branch,
        ),
    )
