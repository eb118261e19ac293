"""Answers, compared: pure numbers, no runtimes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# `(samples, values)`: one value a sample for the models of this project.
Answers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far a candidate's answers stray from the reference's, in the output's unit.

    Attributes:
        max: Greatest absolute error over the samples.
        p99: Its 99th percentile.
        mean: Its mean.
        worst: Index of the sample with the greatest error.
    """

    max: float
    p99: float
    mean: float
    worst: int


def errors(reference: Answers, candidate: Answers) -> npt.NDArray[np.float64]:
    """Absolute error of each sample, `(samples,)`: of several values, the greatest."""
    worst: npt.NDArray[np.float64] = np.abs(candidate - reference).max(axis=1)
    return worst


def difference(reference: Answers, candidate: Answers) -> Difference:
    """Compares finite answers of equal shape."""
    error = errors(reference, candidate)
    return Difference(
        max=float(error.max()),
        p99=float(np.percentile(error, 99)),
        mean=float(error.mean()),
        worst=int(error.argmax()),
    )


def spread(answers: Answers) -> float:
    """Standard deviation over the samples: near zero when a network ignores its input."""
    return float(answers.std(axis=0).max())
