"""Evaluation of a model on labelled faces, with the preprocessing contract it is deployed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract
from agecompact.data.face import Face, Target, target_of
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


def target_of_contract(contract: Contract) -> Target:
    """What a model with this contract predicts."""
    return "age" if contract.output.unit == "years" else "gender"


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
    return compare(predictions, target_of_contract(contract))


def evaluate(
    model: Model[Any],
    contract: Contract,
    faces: Sequence[Face],
    source: Source = decode_face,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen.
) -> Evaluation:
    """Measures a model, with intervals.

    Args:
        model: The model, see `agecompact.evaluation.prediction`.
        contract: How chips become its inputs, in the layout and dtype it takes.
        faces: The faces to measure it on.
        source: Where chips come from.
        bootstrap: How to compute intervals.

    Raises:
        UsageError: No image can be read, or the model outputs NaN or Inf.
    """
    predictions = predict(model, contract, faces, source)
    metrics = compare(predictions, target_of_contract(contract), bootstrap)
    return Evaluation(metrics, bootstrap, predictions)


def compare(
    predictions: Predictions, target: Target, bootstrap: Bootstrap | None = None
) -> Metrics:
    """The metrics of predictions, with intervals if a bootstrap is given.

    Raises:
        UsageError: There are no faces, a prediction is NaN or Inf, or a gender model's faces are of
            one gender.
    """
    faces = predictions.faces
    if target == "age":
        genders = [face.label.gender for face in faces]
        return age_metrics(predictions.values, labels(faces, "age"), genders, bootstrap)
    return gender_metrics(
        predictions.values, labels(faces, "gender"), labels(faces, "age"), bootstrap
    )
