"""The end task: the error on labelled faces, which is what an artefact's user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agecompact.artifacts.parity import AGES
from agecompact.errors import AgecompactError
from agecompact.evaluation.evaluate import labels, targets_of
from agecompact.evaluation.prediction import Source, decode_face, predict
from parity_tests.results import Failure
from parity_tests.runner import ModelRunner, runtime_failures

if TYPE_CHECKING:
    from agecompact.data.face import Face, Target


@dataclass(frozen=True)
class LabelledFaces:
    """Faces whose true age or gender is known.

    Attributes:
        faces: The faces.
        target: Which label they have: `age`, or `gender` as 0 female and 1 male.
        source: Loads their chips.
    """

    faces: tuple[Face, ...]
    target: Target
    source: Source = decode_face


Answers = npt.NDArray[np.float64]


def answers_of(runner: ModelRunner, labelled: LabelledFaces) -> Answers:
    """Answers of a model for labelled faces, in the order of the faces.

    Raises:
        Failure: The runtime fails on a face.
    """
    try:
        with runtime_failures():
            predictions = predict(runner.model(), runner.contract, labelled.faces, labelled.source)
    except AgecompactError as error:
        raise Failure("run", str(error)) from None
    output = targets_of(runner.contract)[labelled.target]
    return predictions.answers[output.name][:, 0].astype(np.float64)


def mean_absolute_error(answers: Answers, labelled: LabelledFaces) -> float:
    """Mean absolute error of answers for labelled faces, in their unit."""
    return float(np.abs(answers - labels(labelled.faces, labelled.target)).mean())


def flips(answers: Answers, right: Answers) -> dict[int, float]:
    """The share of answers on the other side of an age than the right ones, for each of `AGES`."""
    return {age: float(np.mean((answers < age) != (right < age))) for age in AGES}
