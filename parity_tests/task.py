"""The end task: the error on labelled faces, which is what an artefact's user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


def mean_absolute_error(runner: ModelRunner, labelled: LabelledFaces) -> float:
    """Mean absolute error of a model on labelled faces, in the unit of the output that answers.

    Raises:
        Failure: The runtime fails on a face.
    """
    try:
        with runtime_failures():
            predictions = predict(runner.model(), runner.contract, labelled.faces, labelled.source)
    except AgecompactError as error:
        raise Failure("run", str(error)) from None
    truth = labels(predictions.faces, labelled.target)
    answers = predictions.answers[targets_of(runner.contract)[labelled.target].name][:, 0]
    return float(np.abs(answers - truth).mean())
