"""What two models are compared in: pure numbers, no runtimes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# `(samples, columns)`: the matrix of `parts`, one column for the models of this project.
Outputs = npt.NDArray[np.float64]


def spread(outputs: Outputs) -> float:
    """Standard deviation over the samples: near zero when a network ignores its input."""
    return float(outputs.std(axis=0).max())
