"""Evaluation of a model on labelled faces, with the preprocessing contract it is deployed with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Output
from agecompact.data.face import Face, Target, target_of
from agecompact.errors import UsageError, unknown_name
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import Metrics, age_metrics, gender_metrics
from agecompact.evaluation.prediction import (
    Model,
    NetworkModel,
    Predictions,
    Source,
    decode_face,
    predict,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a model.

    Attributes:
        metrics: The figures, with intervals.
        bootstrap: How the intervals were computed.
        predictions: The predictions, with their timing.
    """

    metrics: Metrics
    bootstrap: Bootstrap
    predictions: Predictions


def targets_of(contract: Contract) -> Mapping[Target, Output]:
    """The outputs of a contract that answer what faces are labelled with: one value each.

    An age is an output in years. A gender is a score named `gender`, 0 female to 1 male.
    """
    found: dict[Target, Output] = {}
    for output in contract.outputs:
        if output.answer_size == 1 and output.unit == "years":
            found.setdefault("age", output)
        elif output.answer_size == 1 and (output.unit, output.name) == ("score", "gender"):
            found.setdefault("gender", output)
    return found


def target_of_contract(contract: Contract, wanted: Target | None = None) -> Target:
    """The label to measure a model with: the wanted one, or that of its first output which has one.

    Raises:
        UsageError: None of its outputs answers it.
    """
    found = targets_of(contract)
    target = wanted or next(iter(found), None)
    if target is None or target not in found:
        outputs = ", ".join(f"{output.name} ({output.unit})" for output in contract.outputs)
        raise UsageError(
            f"the model does not answer the {wanted or 'age or gender'} of a face",
            why=f"its outputs are {outputs}",
            fix="an age is an output of one value in years, a gender a score named 'gender'",
        )
    return target


def output_of_contract(contract: Contract, name: str | None = None) -> Output:
    """The output of a name; without one, the first that answers a label, or the first.

    Raises:
        UsageError: There is no such output.
    """
    by_name = {output.name: output for output in contract.outputs}
    if name is None:
        return next(iter(targets_of(contract).values()), contract.outputs[0])
    if name not in by_name:
        raise unknown_name("output", name, by_name)
    return by_name[name]


def target_of_output(contract: Contract, output: Output) -> Target | None:
    """The label that an output answers; None if there is none."""
    return next((t for t, each in targets_of(contract).items() if each == output), None)


def labels(faces: Iterable[Face], target: Target) -> npt.NDArray[np.float32]:
    """The labels of faces, `(N,)`: years, or 0 female and 1 male."""
    return np.array([target_of(face.label, target) for face in faces], np.float32)


def measure(network: nn.Module, contract: Contract, faces: Sequence[Face]) -> Metrics:
    """Measures a network without intervals, and leaves it in evaluation mode.

    Args:
        network: The network, on any device.
        contract: How chips become its inputs, NCHW.
        faces: The faces to measure it on; a few batches are in memory at a time.

    Raises:
        UsageError: No image can be read, or the network outputs NaN or Inf.
    """
    predictions = predict(NetworkModel(network, contract), contract, faces)
    return compare(predictions, contract, target_of_contract(contract))


def evaluate(
    model: Model[Any],
    contract: Contract,
    faces: Sequence[Face],
    source: Source = decode_face,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen.
    target: Target | None = None,
) -> Evaluation:
    """Measures a model on a label, with intervals.

    Args:
        model: The model, see `agecompact.evaluation.prediction`.
        contract: How chips become its inputs, in the layout and dtype it takes.
        faces: The faces to measure it on.
        source: Where chips come from.
        bootstrap: How to compute intervals.
        target: The label; None for that of the first output which has one.

    Raises:
        UsageError: No image can be read, the model outputs NaN or Inf, or it does not answer the
            label.
    """
    predictions = predict(model, contract, faces, source)
    metrics = compare(predictions, contract, target_of_contract(contract, target), bootstrap)
    return Evaluation(metrics, bootstrap, predictions)


def compare(
    predictions: Predictions,
    contract: Contract,
    target: Target,
    bootstrap: Bootstrap | None = None,
) -> Metrics:
    """The metrics of predictions, with intervals if a bootstrap is given.

    Raises:
        UsageError: There are no faces, a prediction is NaN or Inf, or a gender model's faces are of
            one gender.
    """
    faces = predictions.faces
    values = predictions.answers[targets_of(contract)[target].name][:, 0]
    if target == "age":
        genders = [face.label.gender for face in faces]
        return age_metrics(values, labels(faces, "age"), genders, bootstrap)
    return gender_metrics(values, labels(faces, "gender"), labels(faces, "age"), bootstrap)
