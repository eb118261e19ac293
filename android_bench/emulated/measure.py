"""Measures one artefact on one emulated processor: instructions, and how wrong the answers are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from agecompact.artifacts import golden
from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.figures import OutputAccuracy
from agecompact.checked import AtLeastOne, Checked, Sha256, Text
from agecompact.errors import UsageError
from agecompact.files import canonical_json, pretty_json, read_json, sha256_of, write_text
from agecompact.serialization import structure, unstructure
from android_bench.emulated import counts, emulator
from android_bench.emulated.counts import InstructionCounts
from android_bench.emulated.cpus import Cpu
from android_bench.emulated.emulator import Emulated, Settings
from android_bench.emulated.stored import Bundle
from android_bench.native.failure import RunnerFailure

_ONE_SAMPLE = 1
_XNNPACK_MADE = "Created TensorFlow Lite XNNPACK delegate for CPU"


@dataclass(frozen=True, kw_only=True)
class EmulatedRun(Checked):
    """What an artefact costs on an emulated processor, one thread, one face.

    Attributes:
        cpu: The processor; LiteRT chose its kernels for it.
        instructions: Of an inference in the steady state, by class.
        totals: The same in each process, in order.
        inferences: Steady-state inferences that were counted in each process.
        init_instructions: Of loading the file and making it ready.
        first_inference_instructions: Of the first inference after that.
        outputs: By output name, the answer to each golden sample.
        output_error: Against PyTorch's answers.
        fully_accelerated: Whether XNNPACK took every op; None where LiteRT did not say.
        xnnpack: Whether LiteRT used XNNPACK at all.
        qemu: Version of the emulator.
        litert: Version of LiteRT.
        bundle_sha256: Hash of all that ran on the processor.
    """

    cpu: Text
    instructions: InstructionCounts
    totals: tuple[AtLeastOne, ...]
    inferences: AtLeastOne
    init_instructions: AtLeastOne
    first_inference_instructions: AtLeastOne
    outputs: Mapping[str, tuple[float, ...]]
    output_error: OutputAccuracy
    fully_accelerated: bool | None
    xnnpack: bool
    qemu: Text
    litert: Text
    bundle_sha256: Sha256


@dataclass(frozen=True, kw_only=True)
class _Kept(Checked):
    """A measurement in the cache, with all that it depends on."""

    key: Sha256
    run: EmulatedRun


def measure(
    bundle: Bundle,
    cpu: Cpu,
    artefact: Path,
    pack: Path,
    settings: Settings | None = None,
    *,
    cache: Path | None = None,
) -> EmulatedRun:
    """Counts the instructions of an artefact and replays the golden pack on it.

    Args:
        bundle: What runs.
        cpu: On which processor.
        artefact: A `.tflite` file.
        pack: Folder of a golden pack of its model.
        settings: How often.
        cache: Folder of measurements to keep, and to take one of the same file, pack, processor,
            bundle and settings from; None always measures.

    Raises:
        RunnerFailure: It failed, crashed, took too long, or its counts do not repeat.
        UsageError: The golden pack cannot be read.
    """
    settings = settings or Settings()
    if cache is None:
        return _measure(bundle, cpu, artefact, pack, settings)
    key = _key(bundle, cpu, artefact, pack, settings)
    path = cache / f"emulated-{key[:16]}.json"
    kept = _read_kept(path)
    if kept is not None and kept.key == key:
        return kept.run
    run = _measure(bundle, cpu, artefact, pack, settings)
    write_text(path, pretty_json(unstructure(_Kept(key=key, run=run))))
    return run


def _measure(
    bundle: Bundle, cpu: Cpu, artefact: Path, pack: Path, settings: Settings
) -> EmulatedRun:
    expected = golden.read(pack)
    # Only the first process answers the golden samples; the others prove that its count repeats.
    processes = [
        emulator.run(bundle, cpu, artefact, pack, settings, samples=samples)
        for samples in [settings.samples, *[_ONE_SAMPLE] * (settings.processes - 1)]
    ]
    steady = [counts.steady(p.counted, 1 + settings.warmup, settings.runs) for p in processes]
    first = processes[0]
    return EmulatedRun(
        cpu=cpu.name,
        instructions=steady[0],
        totals=tuple(each.total for each in steady),
        inferences=settings.runs,
        init_instructions=first.counted.init.total,
        first_inference_instructions=first.counted.inferences[0].total,
        outputs=_finite(first),
        output_error=_output_error(first, expected, artefact.name),
        fully_accelerated=first.output.fully_accelerated,
        xnnpack=_XNNPACK_MADE in first.log,
        qemu=emulator.version(bundle),
        litert=bundle.index.litert,
        bundle_sha256=bundle.index.guest_sha256,
    )


def _finite(process: Emulated) -> Mapping[str, tuple[float, ...]]:
    outputs = process.output.outputs
    for name, answers in outputs.items():
        if not np.isfinite(answers).all():
            raise RunnerFailure("wrong-output", f"'{name}' answered {answers}, which is no number")
    return outputs


def _output_error(process: Emulated, expected: GoldenPack, file: str) -> OutputAccuracy:
    told = process.output.outputs
    if told.keys() != expected.outputs.keys():
        raise RunnerFailure(
            "wrong-output",
            f"it answered {', '.join(sorted(told))}, not {', '.join(sorted(expected.outputs))}",
        )
    errors = np.concatenate(
        [
            np.abs(np.asarray(answers) - expected.outputs[name][: len(answers)].astype(np.float64))
            for name, answers in told.items()
        ]
    )
    return OutputAccuracy(
        unit=expected.unit,
        samples=len(next(iter(told.values()))),
        not_finite=0,
        weights_sha256=expected.weights_sha256,
        max_error=float(errors.max()),
        mean_error=float(errors.mean()),
        tolerance=expected.tolerances.get(file),
    )


def _key(bundle: Bundle, cpu: Cpu, artefact: Path, pack: Path, settings: Settings) -> str:
    parts = {
        "bundle": [bundle.index.guest_sha256, bundle.index.plugin_sha256],
        "cpu": asdict(cpu),
        # Its name too: the golden pack knows tolerances by it.
        "artefact": [artefact.name, sha256_of(artefact)],
        "pack": sha256_of(pack),
        "settings": asdict(settings),
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def _read_kept(path: Path) -> _Kept | None:
    try:
        return structure(read_json(path, what="kept measurement"), _Kept, where=str(path))
    except UsageError:
        # Not there, or of another version: both are measured anew.
        return None
