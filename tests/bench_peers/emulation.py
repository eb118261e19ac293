"""Runs a TFLite file on an emulated Cortex-A76: its instructions, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.evaluation.prediction import Values
from agecompact.scratch import scratch_folder
from android_bench.emulated import counts, cpus, emulator
from android_bench.emulated.bundle import Bundle
from android_bench.emulated.emulator import EmulationSettings
from android_bench.failure import MeasurementFailure
from tests.bench_peers import signature

CPU = "cortex-a76"
_WARMUP, _RUNS = 1, 2
# A face takes seconds; other programs take cores.
_START_S, _FACE_S = 900.0, 60.0


@dataclass(frozen=True)
class Emulated:
    """What the emulator says of a file.

    Attributes:
        instructions: Of one inference.
        answers: `(faces,)`, in the unit of the output.
    """

    instructions: int
    answers: Values


def run(bundle: Bundle, file: Path, contract: Contract, chips: Sequence[Image]) -> Emulated:
    """Runs a file on faces.

    Args:
        bundle: The emulator.
        file: A `.tflite` file.
        contract: Of the file: with its names and its layout.
        chips: At least one face, uint8 HWC BGR.

    Raises:
        MeasurementFailure: The file does not run there, or takes inputs that the runner lacks.
    """
    if (contract.layout, contract.dtype) != ("NHWC", "float32"):
        kind = f"{contract.dtype} in {contract.layout}"
        raise MeasurementFailure("mismatch", f"the runner has no inputs of {kind}")
    output = contract.only_output("bench-peers")
    settings = EmulationSettings(
        samples=len(chips),
        warmup=_WARMUP,
        runs=_RUNS,
        processes=1,
        timeout_s=_START_S + _FACE_S * len(chips),
    )
    with scratch_folder() as folder:
        copy = folder / file.name
        copy.write_bytes(signature.signed(file.read_bytes(), output.name))
        pack = folder / "pack"
        _write_pack(pack, contract, chips)
        done = emulator.run(bundle, cpus.named(CPU), copy, pack, settings)
    steady = counts.steady(done.counts, 1 + _WARMUP, _RUNS)
    values = np.array(done.output.outputs[output.name], np.float64)
    return Emulated(steady.total, output.answers(values.reshape(len(chips), output.size))[:, 0])


def _write_pack(folder: Path, contract: Contract, chips: Sequence[Image]) -> None:
    """Writes the part of a golden pack that the runner reads; it compares nothing."""
    folder.mkdir()
    output = contract.only_output("bench-peers")
    lines = [
        "agecompact-golden 2",
        "model peer",
        f"samples {len(chips)}",
        f"height {contract.height}",
        f"width {contract.width}",
        f"channels {contract.channels}",
        "table table",
    ]
    (folder / "table").write_bytes(np.ascontiguousarray(contract.table()[0].T, "<f4").tobytes())
    crops = [contract.crop(chip) for chip in chips]
    for number, name in enumerate(contract.input_names):
        pixels = np.stack([contract.pixels(crop[name]) for crop in crops])
        (folder / f"input{number}").write_bytes(pixels.tobytes())
        lines.append(f"input {name} input{number}")
    zeros = np.zeros((len(chips), output.size), "<f4")
    (folder / "output").write_bytes(zeros.tobytes())
    lines += [f"output {output.name} output {output.size}", "end"]
    (folder / "golden.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
