"""Palettes of weights: exact k-means, with errors that cancel within a kernel.

The best clusters of numbers are intervals of their sorted order, which dynamic programming finds
(Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011). scikit-learn, which coremltools would
use, starts at random and is four packages more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]
# The squared error of one cluster, of the values from a place to another, the latter excluded.
_Cost = Callable[[_Places, _Places], _Floats]


def palette_of(weights: Array, bits: int) -> tuple[Array, npt.NDArray[np.uint8]]:
    """A palette of 2^bits numbers for the weights of a layer.

    Args:
        weights: `(outputs, inputs, ...)`; the axes after these are the taps of a kernel.
        bits: Of an index, at most 8.

    Returns:
        The palette, ascending, in the dtype of the weights, and the index of the nearest entry of
        each weight, flat.
    """
    values = weights.astype(np.float64)
    distinct, counts = np.unique(values, return_counts=True)
    entries = 1 << bits
    if len(distinct) <= entries:
        means = np.pad(distinct, (0, entries - len(distinct)), mode="edge")
    else:
        starts = _starts(_cost_of(distinct, counts), len(distinct), entries)
        means = np.add.reduceat(counts * distinct, starts) / np.add.reduceat(counts, starts)
        means = _balanced(means, values)
    lut = means.astype(weights.dtype)
    return lut, _nearest(lut.astype(np.float64), values.reshape(-1)).astype(np.uint8)


def approximated(weights: Array, bits: int) -> Array:
    """Weights as their palette gives them back."""
    lut, indices = palette_of(weights, bits)
    return lut[indices].reshape(weights.shape)


def _nearest(entries: _Floats, values: _Floats) -> _Places:
    # The boundary between two entries is their mean.
    return np.searchsorted((entries[1:] + entries[:-1]) / 2, values)


def _balanced(entries: _Floats, weights: _Floats) -> _Floats:
    """Entries moved a little, so that the errors of each kernel add up to less.

    The taps of a kernel see nearly the same value of a smooth map, and so do the kernels of a row
    where there are no taps, since activations are seldom negative: what counts is the sum of their
    errors. It has the weight of one more error in the sum of squares.
    """
    rows = weights.reshape(len(weights), -1, math.prod(weights.shape[2:]))
    if rows.shape[-1] == 1:
        rows = rows.reshape(len(weights), 1, -1)
    size = len(entries)
    matrix, wanted = np.zeros((size, size)), np.zeros(size)
    for row in rows:
        nearest = _nearest(entries, row)
        off = row - entries[nearest]
        # How often each kernel has each entry.
        held = np.stack([np.bincount(each, minlength=size) for each in nearest])
        matrix += held.T @ held + np.diag(held.sum(axis=0))
        wanted += held.T @ off.sum(axis=1)
        wanted += np.bincount(nearest.reshape(-1), off.reshape(-1), minlength=size)
    moved: _Floats = entries + np.linalg.lstsq(matrix, wanted)[0]
    return np.sort(moved)


def _cost_of(distinct: _Floats, counts: npt.NDArray[np.intp]) -> _Cost:
    # Around 0, so that the difference of two large sums keeps its digits.
    centred = distinct - distinct.mean()
    mass, moment, square = (
        np.concatenate([[0.0], np.cumsum(counts * centred**power)]) for power in (0, 1, 2)
    )

    def cost(start: _Places, end: _Places) -> _Floats:
        held: _Floats = np.maximum(mass[end] - mass[start], 1)
        found: _Floats = square[end] - square[start] - (moment[end] - moment[start]) ** 2 / held
        return found

    return cost


def _starts(cost: _Cost, count: int, clusters: int) -> _Places:
    """Where the best clusters of sorted values start."""
    places = np.arange(count + 1)
    error, choices = cost(np.zeros_like(places), places), []
    for _ in range(clusters - 1):
        error, chosen = _with_one_more(cost, error)
        choices.append(chosen)
    starts = [count]
    for chosen in reversed(choices):
        starts.append(int(chosen[starts[-1]]))
    return np.array([0, *reversed(starts[1:])])


def _with_one_more(cost: _Cost, error: _Floats) -> tuple[_Floats, _Places]:
    """Errors of the best clusters of the first n values, for all n, with one more cluster.

    Where the last cluster starts never moves back as n grows. So the middle n of a range is solved
    first, and bounds the search of both halves. All ranges of a level are solved at once.

    Args:
        cost: Of one cluster.
        error: With the clusters so far.

    Returns:
        The errors, and where the last cluster starts.
    """
    best, chosen = np.full(len(error), np.inf), np.zeros(len(error), np.intp)
    best[0] = 0.0
    # Ranges of n, and between which places their last clusters start; all ends included.
    first, last, low, high = (np.array([end]) for end in (1, len(error) - 1, 0, len(error) - 1))
    while len(first):
        middle = (first + last) // 2
        tried = np.minimum(high, middle - 1) - low + 1
        begins = np.cumsum(tried) - tried
        starts = np.arange(tried.sum()) + np.repeat(low - begins, tried)
        found = error[starts] + cost(starts, np.repeat(middle, tried))
        best[middle] = np.minimum.reduceat(found, begins)
        # The first of equal ones, so that the choice never moves back.
        equal = np.where(found == np.repeat(best[middle], tried), starts, len(error))
        chosen[middle] = np.minimum.reduceat(equal, begins)
        left, right = first < middle, middle < last
        first, last, low, high = (
            np.concatenate([first[left], middle[right] + 1]),
            np.concatenate([middle[left] - 1, last[right]]),
            np.concatenate([low[left], chosen[middle][right]]),
            np.concatenate([chosen[middle][left], high[right]]),
        )
    return best, chosen
