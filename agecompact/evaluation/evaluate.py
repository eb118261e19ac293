"""A model against labelled faces, through the contract that it is deployed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract
from agecompact.data.face import Face, Target, target_of
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import (
    AgeMetrics,
    GenderMetrics,
    Intervals,
    Metrics,
    age_intervals,
    age_metrics,
    gender_intervals,
    gender_metrics,
)
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
    """What a model scores on faces.

    Attributes:
        metrics: The figures.
        intervals: Their intervals.
        bootstrap: How those were made.
        predictions: The answers, with what they took.
    """

    metrics: Metrics
    intervals: Intervals
    bootstrap: Bootstrap
    predictions: Predictions


def target_of_contract(contract: Contract) -> Target:
    """What a model with this contract answers."""
    return "age" if contract.output.unit == "years" else "gender"


def labels(faces: Iterable[Face], target: Target) -> npt.NDArray[np.float32]:
    """The values to learn, `(N,)`: years, or 0 female and 1 male."""
    return np.array([target_of(face.label, target) for face in faces], np.float32)


def measure(
    network: nn.Module, contract: Contract, faces: Sequence[Face], source: Source = decode_face
) -> tuple[AgeMetrics | GenderMetrics, int]:
    """Measures a network, which it leaves in evaluation mode, with a few batches in memory.

    Args:
        network: The network, on any device.
        contract: How chips become its inputs, NCHW.
        faces: What to measure it on.
        source: Gives chips.

    Returns:
        The metrics, and how many files hold no chip and are not in them.

    Raises:
        UsageError: No image can be read, or the network answers NaN or Inf.
    """
    predictions = predict(NetworkModel(network, contract), contract, faces, source)
    return compare(predictions, target_of_contract(contract)), predictions.unreadable


def evaluate(
    model: Model[Any],
    contract: Contract,
    faces: Sequence[Face],
    source: Source = decode_face,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen.
) -> Evaluation:
    """Measures a model, with intervals.

    Args:
        model: The model, as `agecompact.evaluation.prediction` opens it.
        contract: How chips become its inputs, in the layout and dtype that it takes.
        faces: What to measure it on.
        source: Gives chips.
        bootstrap: How intervals are made.

    Raises:
        UsageError: No image can be read, or the model answers NaN or Inf.
    """
    predictions = predict(model, contract, faces, source)
    target = target_of_contract(contract)
    return Evaluation(
        metrics=compare(predictions, target),
        intervals=intervals(predictions, target, bootstrap),
        bootstrap=bootstrap,
        predictions=predictions,
    )


def compare(predictions: Predictions, target: Target) -> Metrics:
    """The figures of predictions.

    Raises:
        UsageError: No face, an answer that is NaN or Inf, or faces of one gender only.
    """
    if target == "age":
        return age_metrics(
            predictions.answers, labels(predictions.faces, "age"), _genders(predictions)
        )
    truth, ages = (labels(predictions.faces, name) for name in ("gender", "age"))
    return gender_metrics(predictions.answers, truth, ages)


def intervals(predictions: Predictions, target: Target, bootstrap: Bootstrap) -> Intervals:
    """The intervals of what `compare` gives.

    Raises:
        UsageError: No face, an answer that is NaN or Inf, or faces of one gender only.
    """
    if target == "age":
        truth = labels(predictions.faces, "age")
        return age_intervals(predictions.answers, truth, _genders(predictions), bootstrap)
    truth, ages = (labels(predictions.faces, name) for name in ("gender", "age"))
    return gender_intervals(predictions.answers, truth, ages, bootstrap)


def _genders(predictions: Predictions) -> list[int | None]:
    return [face.label.gender for face in predictions.faces]
