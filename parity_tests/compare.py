"""Errors of a model's outputs: pure numbers, no runtimes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from parity_tests.spans import Span

# `(samples, values)`: one value per sample for the models of this project.
Outputs = npt.NDArray[np.float64]


def output_errors(reference: Outputs, candidate: Outputs, span: Span) -> npt.NDArray[np.float64]:
    """Error of each sample, `(samples,)`; of several values, the greatest counts.

    It is absolute. Only where the reference's output is greater than the unit's span, and rounding
    grows with it, it is divided by `Span.scale`.

    Args:
        reference: Finite outputs.
        candidate: Finite outputs of the same shape.
        span: The span of their unit.
    """
    scaled = np.abs(candidate - reference) / span.scale(reference)
    errors: npt.NDArray[np.float64] = scaled.max(axis=1)
    return errors


def spread(outputs: Outputs) -> float:
    """Standard deviation over the samples: near zero when a network ignores its input."""
    return float(outputs.std(axis=0).max())
