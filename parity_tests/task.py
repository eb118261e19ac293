"""The end task: the error on labelled faces, which is what an artefact's user sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agecompact.errors import AgecompactError
from agecompact.evaluation.evaluate import labels
from agecompact.evaluation.prediction import Source, decode_face, predict
from agecompact.runtimes.process import RuntimeFailure
from parity_tests.results import Failure

if TYPE_CHECKING:
    from agecompact.data.face import Face, Target
    from parity_tests.side import Side


@dataclass(frozen=True)
class Labelled:
    """Labelled faces.

    Attributes:
        faces: The faces.
        target: What is known of them: `age`, or `gender` as 0 female and 1 male.
        source: Gives their chips.
    """

    faces: tuple[Face, ...]
    target: Target
    source: Source = decode_face


def mean_absolute_error(side: Side, labelled: Labelled) -> float:
    """MAE of one side, in its output's unit.

    Raises:
        Failure: The runtime fails on a face.
    """
    try:
        predictions = predict(side.model(), side.contract, labelled.faces, labelled.source)
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
    except AgecompactError as error:
        raise Failure("run", str(error)) from None
    truth = labels(predictions.faces, labelled.target)
    return float(np.abs(predictions.values - truth).mean())
