"""Errors of a model's outputs: pure numbers, no runtimes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# `(samples, values)`: one value per sample for the models of this project.
Outputs = npt.NDArray[np.float64]


def output_errors(reference: Outputs, candidate: Outputs) -> npt.NDArray[np.float64]:
    """Absolute error of each sample, `(samples,)`; of several values, the greatest counts.

    Args:
        reference: Finite outputs.
        candidate: Finite outputs of the same shape.
    """
    errors: npt.NDArray[np.float64] = np.abs(candidate - reference).max(axis=1)
    return errors


def spread(outputs: Outputs) -> float:
    """Standard deviation over the samples: near zero when a network ignores its input."""
    return float(outputs.std(axis=0).max())
