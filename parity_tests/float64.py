"""Compares an ONNX reference, which runs in float32, with its own graph in float64.

An artefact may repeat a reference to the last digit, and both may be wrong where float32 loses the
digits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.parity import Float64Check, Result, Tolerance
from agecompact.contract import Contract
from agecompact.formats import RUNTIMES, format_of, opened_by
from agecompact.runtimes.process import RuntimeProcess
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.parts import Part, errors_of
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner
from parity_tests.tolerances import Tolerances

RUNTIME = RUNTIMES["onnx-float64"]

# A face, an image of one colour, noise and a mosaic: each takes about a second. On one colour,
# rounding changes an output most.
_FIXED = ("face", "white", "noise 0")
_SEARCHED = "mosaic 0"
_WHAT = "the reference, ONNX Runtime in float32,"
_ADVICE = (
    "Either float32 loses its digits, as in a small difference of great numbers, or ONNX Runtime "
    "and onnx.reference compute an op in two ways. Rewrite that op in the network, or allow the "
    "error in --tolerances with a [[rule]] of format = 'onnx'"
)


def applies_to(reference: Path) -> bool:
    """Whether a reference is an ONNX file."""
    return format_of(reference) == opened_by(RUNTIME.name)


def gates_of(parts: Sequence[Part], tolerances: Tolerances, model: str) -> tuple[Tolerance, ...]:
    """The gates of float32 ONNX files, for each part of a model's outputs."""
    found = opened_by(RUNTIME.name)
    return tuple(
        tolerances.of(
            width=part.width,
            format=found.name,
            precision=found.precisions[0],
            runtime=found.runtimes[0].name,
            model=model,
        )
        for part in parts
    )


def compared(
    path: Path,
    contract: Contract,
    parts: Sequence[Part],
    gates: Sequence[Tolerance],
    samples: Sequence[Sample],
    outputs: Outputs,
    *,
    seconds: float,
) -> dict[str, Float64Check]:
    """Compares the answers of an ONNX file with those of float64, on a few inputs.

    Args:
        path: The file.
        contract: How images become its inputs.
        parts: Its outputs in the matrix.
        gates: The gates of each of them.
        samples: Images, the fixed inputs and mosaics among them.
        outputs: The matrix of its outputs for them in float32, `(samples, columns)`.
        seconds: Longest time that float64 may take for one input, and after which it starts no
            other.

    Returns:
        By output name, the greatest error, or why float64 could not be computed.

    Raises:
        Failure: An error is above its gate; of the kind `reference`.
    """
    names = [sample.name for sample in samples]
    places = [names.index(name) for name in (*_FIXED, _SEARCHED)]
    try:
        exact = _exact(path, contract, [samples[place] for place in places], seconds)
    except Failure as failure:
        unknown = Float64Check(reason=failure.reason)
        return {part.output.name: unknown for part in parts}
    places = places[: len(exact)]
    errors = errors_of(parts, exact, outputs[places])
    _reject(parts, gates, [names[place] for place in places], errors)
    return {
        part.output.name: Float64Check(len(exact), float(column.max()))
        for part, column in zip(parts, errors.T, strict=True)
    }


def text(result: Result) -> str:
    """How far the reference of a result is from float64, for people; empty if that is not known."""
    found = result.float64
    if found is None:
        return ""
    if found.error is None:
        return f"{_WHAT} was not compared with float64: {found.reason}"
    inputs = "1 input" if found.inputs == 1 else f"{found.inputs} inputs"
    return f"{_WHAT} is within {found.error:.2g} {result.unit} of float64 on {inputs}"


def lines(results: Iterable[Result]) -> list[str]:
    """A line for each model and output whose reference is an ONNX file, for people."""
    texts = {(r.model, r.output): text(r) for r in results if r.float64}
    return [f"{' '.join(filter(None, key))}: {each}" for key, each in texts.items()]


def _exact(path: Path, contract: Contract, samples: Sequence[Sample], seconds: float) -> Outputs:
    """The matrix in float64 for the samples that there is time for, at least one."""
    started = time.monotonic()
    rows: list[Outputs] = []
    with RuntimeProcess(path, RUNTIME, timeout_s=seconds) as process:
        runner = ModelRunner(process, contract)
        for sample in samples:
            if rows and time.monotonic() - started > seconds:
                break
            try:
                rows.append(runner.outputs([sample]))
            except Failure as failure:
                if not rows or failure.kind != "timeout":
                    raise
                break
    return np.concatenate(rows)


def _reject(
    parts: Sequence[Part],
    gates: Sequence[Tolerance],
    names: Sequence[str],
    errors: npt.NDArray[np.float64],
) -> None:
    found = []
    for part, gate, column in zip(parts, gates, errors.T, strict=True):
        which = f"{part.output.name}: " if len(parts) > 1 else ""
        for name, error in zip(names, column, strict=True):
            allowed = gate.searched if name == _SEARCHED else gate.max
            if error > allowed:
                found.append(f"{which}{error:.3g} {part.unit} on '{name}', {allowed:g} allowed")
    if found:
        off = "; ".join(found)
        raise Failure("reference", f"ONNX Runtime's float32 is off float64 by {off}. {_ADVICE}")
