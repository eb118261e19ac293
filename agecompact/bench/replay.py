"""The golden pack, replayed on the very process that was timed."""

from __future__ import annotations

import numpy as np

from agecompact.artifacts.golden import GoldenPack
from agecompact.bench.figures import OutputAccuracy
from agecompact.contract import Contract
from agecompact.runtimes.base import Array
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess


def output_error(
    process: RuntimeProcess, contract: Contract, pack: GoldenPack, file: str, batch: int = 1
) -> OutputAccuracy:
    """Error of an open artefact against PyTorch's answers.

    Args:
        process: Has opened the artefact.
        contract: Of the artefact, in its own layout and dtype.
        pack: Inputs and answers.
        file: Name of the artefact, by which the pack knows its tolerance.
        batch: Faces an inference; every sample is put as many times.

    Raises:
        RuntimeFailure: The runtime failed, or gave no answer of that name.
    """
    tensors = pack.tensors(contract.layout) if contract.dtype == "float32" else _images(pack)
    samples = {name: np.repeat(array, batch, axis=1) for name, array in tensors.items()}
    answers = process.infer(samples)
    if missing := pack.outputs.keys() - answers.keys():
        raise RuntimeFailure("run", f"it has no output '{', '.join(sorted(missing))}'")
    errors = np.concatenate(
        [_errors(answers[name], expected) for name, expected in pack.outputs.items()]
    )
    finite = bool(np.isfinite(errors).all())
    return OutputAccuracy(
        unit=pack.unit,
        samples=len(pack.samples),
        not_finite=int(np.sum(~np.isfinite(errors).all(axis=1))),
        weights_sha256=pack.weights_sha256,
        max_error=float(errors.max()) if finite else None,
        mean_error=float(errors.mean()) if finite else None,
        tolerance=pack.tolerances.get(file),
    )


def _images(pack: GoldenPack) -> dict[str, Array]:
    return {name: images[:, np.newaxis] for name, images in pack.images.items()}


def _errors(answers: Array, expected: Array) -> Array:
    """`(N, answers a sample)`, NaN where an answer is."""
    told = np.asarray(answers, np.float64).reshape(len(expected), -1)
    return np.abs(told - np.asarray(expected, np.float64)[:, np.newaxis])
