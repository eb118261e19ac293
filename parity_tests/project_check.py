"""Checks a project file in seconds: what would fail in a converter, or on a phone, fails here.

One forward pass shows whether the network takes the contract's inputs and returns its outputs. The
faces of the fixed inputs show whether its answers vary, which they do not if the preprocessing is
not the one that it was trained with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Output
from agecompact.errors import GateError, UsageError, failure_text
from agecompact.formats import EXPORTED, format_of
from agecompact.runtimes.reading import read_metadata
from agecompact.weights import checkpoints
from parity_tests import inputs
from parity_tests.comparing import LEAST_SPREAD
from parity_tests.inputs import Sample
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.spans import spans_of

# By output name, `(faces, size)`.
Outputs = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class CheckedOutput:
    """The answers of one output for the faces.

    Attributes:
        output: The output.
        answers: `(faces, answers of the output)`, in its unit.
        faults: What is wrong, a sentence each; empty if nothing is.
    """

    output: Output
    answers: npt.NDArray[np.float64]
    faults: tuple[str, ...]


def check_weights(path: Path, images: Sequence[Path] = ()) -> tuple[CheckedOutput, ...]:
    """Runs a network on faces.

    Args:
        path: A weights file of agecompact, or an ONNX file in its place.
        images: A user's face chips.

    Raises:
        UsageError: The weights do not fit the network, the network does not take the inputs, or it
            returns other outputs than the contract has.
    """
    if format_of(path).name in EXPORTED:
        contract = read_metadata(path).contract
        outputs = _run_onnx(path, contract, _faces(contract, images))
    else:
        weights = checkpoints.read(path)
        contract = weights.contract
        outputs = _run_network(weights, _faces(contract, images))
    return tuple(_checked(output, outputs[output.name]) for output in contract.outputs)


def _faces(contract: Contract, images: Sequence[Path]) -> list[Sample]:
    return [sample for sample in inputs.fixed(contract, images) if sample.kind == "face"]


def _run_onnx(path: Path, contract: Contract, faces: Sequence[Sample]) -> Outputs:
    runtime = format_of(path).runtimes[0]
    try:
        with runtime_process(path, runtime, CheckSettings()) as process:
            return ModelRunner(process, contract).values(faces)
    except Failure as failure:
        raise UsageError(
            f"{path.name} does not run by its contract",
            why=f"{failure.kind}: {failure}",
            fix="correct [input] and [[outputs]] of the project file",
        ) from None


def _run_network(weights: checkpoints.Weights, faces: Sequence[Sample]) -> Outputs:
    import torch

    from agecompact.models.returned import by_name

    contract, network = weights.contract, weights.network()
    try:
        with torch.inference_mode():
            returned = network(*map(torch.from_numpy, _batch(contract, faces)))
    except UsageError:
        raise
    except Exception as error:  # The network is the user's own.
        raise UsageError(
            f"the network of '{weights.model_id}' does not run on its inputs",
            why=failure_text(error),
            fix=f"correct [input] of the project file, which gives {_inputs_text(contract)}",
        ) from None
    return {name: each.double().numpy() for name, each in by_name(returned, contract).items()}


def _batch(contract: Contract, faces: Sequence[Sample]) -> list[npt.NDArray[np.generic]]:
    return [
        np.ascontiguousarray(contract.stack([face.crops[name] for face in faces]))
        for name in contract.input_names
    ]


def _inputs_text(contract: Contract) -> str:
    shape = "x".join(map(str, ("N", *contract.input_shape[1:])))
    return ", ".join(f"{name} {shape}" for name in contract.input_names)


def _checked(output: Output, values: npt.NDArray[np.float64]) -> CheckedOutput:
    answers = output.answers(values)
    return CheckedOutput(output, answers, tuple(_faults(output, values, answers)))


def _faults(
    output: Output, values: npt.NDArray[np.float64], answers: npt.NDArray[np.float64]
) -> Iterator[str]:
    if not np.isfinite(values).all():
        yield "it is NaN or infinite"
        return
    compared = output.compared(values)
    span = spans_of(output.compared_unit, compared)[0]
    spread = float(compared.std(axis=0).max())
    if spread < LEAST_SPREAD * span.width:
        yield (
            f"it is {answers.min():.3g} to {answers.max():.3g} {output.unit} for {len(answers)} "
            "different faces: is the preprocessing the one that the network was trained with?"
        )
    low, high = output.minimum, output.maximum
    if (low is not None and answers.min() < low) or (high is not None and answers.max() > high):
        yield (
            f"it reaches {answers.min():.3g} to {answers.max():.3g} {output.unit}, the contract "
            f"has {low} to {high}"
        )
    kind = output.reading.kind
    if kind == "expectation" and not np.allclose(values.sum(axis=1), 1, atol=1e-2):
        yield (
            f"its values add up to {values.sum(axis=1).mean():.3g}, not 1: of logits, read the "
            "'softmax-expectation'"
        )
    if kind == "softmax-expectation" and np.allclose(values.sum(axis=1), 1, atol=1e-4):
        yield "its values add up to 1 already: of shares, read the 'expectation'"


def refuse(checked: Sequence[CheckedOutput]) -> None:
    """Fails if an output has a fault.

    Raises:
        GateError: With all faults.
    """
    faults = [f"{each.output.name}: {fault}" for each in checked for fault in each.faults]
    if faults:
        raise GateError(
            f"{len(faults)} faults in the answers",
            why="\n     ".join(faults),
            fix="correct [input] or [[outputs]] of the project file",
        )
