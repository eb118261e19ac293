"""Errors of a model's outputs: pure numbers, no runtimes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# `(samples, values)`: one value per sample for the models of this project.
Outputs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OutputErrors:
    """How far a candidate's outputs are from the reference's.

    Attributes:
        per_sample: Absolute error of each sample, `(samples,)`, in the output's unit; where an
            output has several values, the greatest of theirs.
    """

    per_sample: npt.NDArray[np.float64]

    @property
    def max(self) -> float:
        """Greatest error over the samples."""
        return float(self.per_sample.max())

    @property
    def p99(self) -> float:
        """99th percentile of the error."""
        return float(np.percentile(self.per_sample, 99))

    @property
    def mean(self) -> float:
        """Mean error."""
        return float(self.per_sample.mean())

    @property
    def worst(self) -> int:
        """Index of the sample with the greatest error."""
        return int(self.per_sample.argmax())


def output_errors(reference: Outputs, candidate: Outputs) -> OutputErrors:
    """Compares finite outputs of equal shape."""
    return OutputErrors(np.abs(candidate - reference).max(axis=1))


def spread(outputs: Outputs) -> float:
    """Standard deviation over the samples: near zero when a network ignores its input."""
    return float(outputs.std(axis=0).max())
