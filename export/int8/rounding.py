"""Weights in int8 for the inputs that they will see.

`resolved` and `rounded` follow "Optimal Brain Compression" (Frantar, Alistarh 2022) and GPTQ
(Frantar et al. 2023, algorithm 1), with one grid a row, which ai-edge-quantizer writes as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
_Values = TypeVar("_Values", Floats, "Tensor")

# The largest integer of a symmetric grid: -128 is not used.
LEVELS = 127
_TINY = 1e-12
# Of an end of a range.
_SHARES = (*np.linspace(1.0, 0.4, 25).tolist(), *np.geomspace(0.37, 0.02, 24).tolist())


def resolved(weights: Floats, inputs: Floats, wanted: Floats, ridge: float) -> Floats:
    """Weights near the given ones that give the wanted outputs for other inputs.

    Args:
        weights: `(outputs, inputs)`.
        inputs: `(samples, inputs)`, without their mean.
        wanted: `(samples, outputs)`, without their mean.
        ridge: Price of a change, as a share of the inputs' mean variance.
    """
    covariance = inputs.T @ inputs / len(inputs)
    price = ridge * float(np.mean(np.diag(covariance))) + _TINY
    missing = inputs.T @ (wanted - inputs @ weights.T) / len(inputs)
    change = np.linalg.solve(covariance + price * np.eye(len(covariance)), missing)
    changed: Floats = weights + change.T
    return changed


def scales_of(weights: Floats) -> Floats:
    """The step of each row's grid, `(rows,)`: its greatest weight is the greatest integer."""
    steps: Floats = np.maximum(np.abs(weights).max(axis=1), _TINY) / LEVELS
    return steps


def rounded(weights: Floats, covariance: Floats, damping: float) -> Floats:
    """Weights on the grid of their row, whose errors cancel each other on the inputs.

    Each column is rounded, and the columns that are not yet rounded make up for the error. The
    greatest weight of a row keeps its value, so the grid stays what it is.

    Args:
        weights: `(rows, columns)`.
        covariance: Of the inputs, `(columns, columns)`.
        damping: What is added to its diagonal, as a share of that one's mean, so that inputs which
            hardly vary do not decide.
    """
    scales = scales_of(weights)
    added = damping * float(np.mean(np.diag(covariance))) + _TINY
    damped = covariance + added * np.eye(len(covariance))
    # Columns with large inputs first: the others can make up for them.
    order = np.argsort(-np.diag(damped), kind="stable")
    left = weights[:, order].copy()
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper = np.linalg.cholesky(inverse).T
    greatest = np.abs(left).argmax(axis=1)
    kept = np.sign(left[np.arange(len(left)), greatest]) * LEVELS
    made = np.empty_like(left)
    for column in range(left.shape[1]):
        steps = np.clip(np.round(left[:, column] / scales), -LEVELS, LEVELS)
        steps = np.where(greatest == column, kept, steps)
        made[:, column] = steps * scales
        error = (left[:, column] - made[:, column]) / upper[column, column]
        left[:, column + 1 :] -= np.outer(error, upper[column, column + 1 :])
    placed: Floats = made[:, np.argsort(order)]
    return placed


def least_squares_range(
    values: npt.NDArray[np.floating],
    low: float,
    high: float,
    read_as: Callable[[Floats], Floats] = lambda values: values,
) -> tuple[float, float]:
    """The range whose 256 steps cost the least; each end is a share of its value.

    Clipping a few values pays where it makes the steps of all others smaller.

    Args:
        values: A sample of a tensor.
        low: Its least value, or 0.
        high: Its greatest value, or 0.
        read_as: The function that the tensor's reader takes of it; what it flattens costs nothing.
    """
    sample = values.reshape(-1).astype(np.float64)
    wanted = read_as(sample)

    def cost(ends: tuple[float, float]) -> float:
        return float(np.square(read_as(on_grid(sample, *ends)) - wanted).mean())

    ends = min([(low * share, high * share) for share in _SHARES], key=cost)
    ends = min([(ends[0], high * share) for share in _SHARES], key=cost)
    return min([(low * share, ends[1]) for share in _SHARES], key=cost)


def grid_of(low: float, high: float) -> tuple[float, int]:
    """The step of a range's int8 grid, and the integer that stands for 0."""
    step = max(high - low, _TINY) / 255
    return step, round(-128 - low / step)


def on_grid(values: _Values, low: float, high: float) -> _Values:
    """Values, an array or a tensor, as int8 holds them: 256 steps from low to high, around 0."""
    step, zero = grid_of(low, high)
    held: _Values = (((values / step).round() + zero).clip(-128, 127) - zero) * step
    return held
