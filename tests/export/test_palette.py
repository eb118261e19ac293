"""Palettes, against brute force."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from export import palette
from export.palette import approximated, palette_of

Floats = npt.NDArray[np.float64]


def least_error(values: Floats, clusters: int) -> float:
    """The least squared error of all ways to cut sorted values into clusters."""
    ordered = np.sort(values.reshape(-1))
    count = len(ordered)
    cost = np.full((count + 1, count + 1), np.inf)
    for start in range(count):
        for end in range(start + 1, count + 1):
            part = ordered[start:end]
            cost[start, end] = np.square(part - part.mean()).sum()
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    for _ in range(clusters):
        best = (best[:, None] + cost).min(axis=0)
    return float(best[count])


@pytest.mark.parametrize("clusters", [1, 2, 7, 16, 40])
@pytest.mark.parametrize("digits", [1, 6])
def test_no_other_clusters_have_a_smaller_error(clusters: int, digits: int) -> None:
    values = np.random.default_rng(clusters).standard_t(4, 130).round(digits)
    distinct, counts = np.unique(values, return_counts=True)
    clusters = min(clusters, len(distinct))
    starts = palette._starts(palette._cost_of(distinct, counts), len(distinct), clusters)
    parts = np.split(np.repeat(distinct, counts), np.cumsum(counts)[starts[1:] - 1])
    found = sum(float(np.square(part - part.mean()).sum()) for part in parts)
    assert len(parts) == clusters
    assert found == pytest.approx(least_error(values, clusters), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bits", [1, 4, 6, 8])
@pytest.mark.parametrize("shape", [(8, 6, 3, 3), (20, 40), (30, 20, 1, 1)])
def test_every_index_names_the_nearest_entry(bits: int, shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(bits).normal(size=shape).astype(np.float16)
    lut, indices = palette_of(weights, bits)
    assert (lut.dtype, lut.shape, indices.dtype) == (np.float16, (1 << bits,), np.uint8)
    wide, flat = lut.astype(np.float64), weights.reshape(-1).astype(np.float64)
    distances = np.abs(flat[:, None] - wide)
    np.testing.assert_array_equal(np.abs(flat - wide[indices]), distances.min(axis=1))


def test_few_values_are_kept() -> None:
    weights = np.float16([[-1.5, 0.25, 3.0], [0.25, 0.25, -1.5]])
    np.testing.assert_array_equal(approximated(weights, 2), weights)


def test_the_errors_of_a_kernel_cancel() -> None:
    weights = np.random.default_rng(0).normal(size=(16, 16, 3, 3))

    def error_of_sums(values: Floats) -> float:
        return float(np.square((values - weights).sum(axis=(2, 3))).mean())

    distinct = np.unique(weights)
    cost = palette._cost_of(distinct, np.ones(len(distinct), np.intp))
    means = [
        part.mean() for part in np.split(distinct, palette._starts(cost, len(distinct), 64)[1:])
    ]
    centres = np.array(means)
    plain = centres[np.abs(weights[..., None] - centres).argmin(axis=-1)]
    balanced = approximated(weights, 6)
    assert error_of_sums(balanced) < 0.9 * error_of_sums(plain)
    # At nearly no cost to each weight.
    assert np.square(balanced - weights).mean() < 1.15 * np.square(plain - weights).mean()
