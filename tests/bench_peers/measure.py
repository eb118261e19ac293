"""Measures a file: its bytes, its error against PyTorch, its partitions and its instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.errors import AgecompactError
from agecompact.evaluation.prediction import BATCH, ArtifactModel, Model, Values, output_of
from agecompact.files import size_of
from agecompact.runtimes.base import Interface, Port
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.text import one_line
from android_bench.emulated.bundle import Bundle
from android_bench.failure import MeasurementFailure
from parity_tests.fitting import fitted
from parity_tests.results import Failure
from tests.bench_peers import emulation
from tests.bench_peers.faces import Faces
from tests.bench_peers.peers import Peer
from tests.bench_peers.rows import Figures, Unusable

NO_BUNDLE = "there is no ARM bundle: make arm-bundle"
_NOT_TFLITE = "the emulator runs TFLite files only"
# LiteRT says so on standard error before anything fails.
_INFORMATION = "INFO: "
_BETWEEN_LINES = " | "
_LITERT_TORCH_INPUT = "args_{}"


@dataclass(frozen=True)
class Instruments:
    """What files are measured with.

    Attributes:
        faces: The faces.
        emulated_faces: How many of them run on the emulator, which takes seconds for each.
        bundle: The emulator; None if it was not made.
    """

    faces: Faces
    emulated_faces: int
    bundle: Bundle | None

    def faces_of(self, peer: Peer) -> Faces:
        """The faces that the errors of a tool are measured on."""
        return self.faces.first(self.emulated_faces) if peer.runs_emulated else self.faces


def measured(
    file: Path, peer: Peer, contract: Contract, reference: Values, instruments: Instruments
) -> Figures:
    """Measures a file in a process of its own, which it may abort.

    Args:
        file: The file.
        peer: The tool that made it.
        contract: Of the network: float32 NCHW.
        reference: PyTorch's answers for `instruments.faces_of(peer)`, `(faces,)` years.
        instruments: What to measure with.

    Raises:
        Unusable: It does not open or run, crashes, or its answers are not numbers.
    """
    faces = instruments.faces_of(peer)
    try:
        with RuntimeProcess(file) as process:
            opened = process.open()
            bound = fitted(_named(contract, opened.interface), opened.interface).contract
            host = ArtifactModel(process, opened)
            ports = opened.interface.outputs
            found = None if peer.runs_emulated else answers(host, bound, faces.chips, ports)
    except (RuntimeFailure, Failure, AgecompactError) as failure:
        raise Unusable(_reason(failure)) from None
    emulated, uncounted = _emulated(file, peer, bound, faces, instruments.bundle)
    if found is None:
        if emulated is None:
            raise Unusable(uncounted)
        found = emulated.answers
    if lost := int(np.count_nonzero(~np.isfinite(found))):
        raise Unusable(f"{lost} of {len(found)} answers are not finite")
    errors = np.abs(found - reference)
    placement = opened.placement
    return Figures(
        bytes=size_of(file),
        faces=len(found),
        mean_years=float(errors.mean()),
        p99_years=float(np.percentile(errors, 99)),
        max_years=float(errors.max()),
        mae_change_years=None if faces.ages is None else _mae_change(found, reference, faces.ages),
        partitions=placement.partitions if placement else None,
        fallback_ops=sum(placement.fallback_ops.values()) if placement else None,
        instructions=emulated.instructions if emulated else None,
        uncounted=uncounted,
    )


def answers(
    model: Model[Any],
    contract: Contract,
    chips: Sequence[Image],
    ports: Mapping[str, Port] | None = None,
) -> Values:
    """The answers of a model with one output of one value, `(faces,)` in its unit.

    Args:
        model: The model.
        contract: Its contract.
        chips: The faces.
        ports: Its outputs as a file declares them, by name: what their integers stand for.
    """
    output = contract.only_output("bench-peers")
    quantization = ports[output.name].quantization if ports else None
    found = []
    for start in range(0, len(chips), BATCH):
        batch = chips[start : start + BATCH]
        values = model.run(model.stage(contract.batch(batch))).values
        stored = output_of(values, output, len(batch))
        real = stored if quantization is None else quantization.real(stored)
        found.append(output.answers(real)[:, 0])
    return np.concatenate(found)


def _mae_change(found: Values, reference: Values, ages: Values) -> float:
    return float(np.abs(found - ages).mean() - np.abs(reference - ages).mean())


def _named(contract: Contract, interface: Interface) -> Contract:
    """The contract with the file's names, if it numbers its inputs in PyTorch's order."""
    numbered = [_LITERT_TORCH_INPUT.format(i) for i in range(len(contract.crops))]
    if set(interface.inputs) != set(numbered):
        return contract
    crops = zip(contract.crops, numbered, strict=True)
    return replace(contract, crops=tuple(replace(crop, name=name) for crop, name in crops))


def _emulated(
    file: Path, peer: Peer, contract: Contract, faces: Faces, bundle: Bundle | None
) -> tuple[emulation.Emulated | None, str]:
    """What the emulator says; None, and why, if it does not run the file."""
    if peer.suffix != ".tflite":
        return None, _NOT_TFLITE if peer.runs_emulated else ""
    if bundle is None:
        return None, NO_BUNDLE
    chips = faces.chips if peer.runs_emulated else faces.chips[:1]
    try:
        return emulation.run(bundle, file, contract, chips), ""
    except MeasurementFailure as failure:
        return None, one_line(str(failure))


def _reason(failure: Exception) -> str:
    """A failure on one line, without what a runtime says in passing."""
    parts = one_line(str(failure)).split(_BETWEEN_LINES)
    return _BETWEEN_LINES.join(part for part in parts if not part.startswith(_INFORMATION))
