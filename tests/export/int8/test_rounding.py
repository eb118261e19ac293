"""Rounded weights lie on their grid, and cost less on their inputs than the nearest ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.int8.rounding import LEVELS, least_squares_range, on_grid, resolved, rounded, scales_of

SEEDS = st.integers(0, 10_000)


def inputs(random: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Correlated, as the neighbouring pixels of maps are."""
    return random.normal(size=(count, 3)) @ random.normal(size=(3, width)) + 0.3 * random.normal(
        size=(count, width)
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_rounded_weights_lie_on_the_grid_that_the_quantiser_will_choose(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(4, 9))
    seen = inputs(random, 60, 9)
    made = rounded(weights, seen.T @ seen / 60, 0.01)
    steps = made / scales_of(weights)[:, np.newaxis]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert np.abs(steps).max() <= LEVELS + 1e-9
    # ai-edge-quantizer takes the greatest weight of a row for 127 steps.
    np.testing.assert_allclose(scales_of(made), scales_of(weights))


def test_it_costs_less_on_correlated_inputs_than_the_nearest_weights() -> None:
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(20):
        weights, seen = random.normal(size=(8, 27)), inputs(random, 200, 27)
        scales = scales_of(weights)[:, np.newaxis]
        nearest = np.round(weights / scales) * scales
        made = rounded(weights, seen.T @ seen / len(seen), 0.01)
        costs = [np.square(seen @ (w - weights).T).mean() for w in (made, nearest)]
        ratios.append(costs[0] / costs[1])
    assert max(ratios) < 0.8


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_solved_for_the_same_inputs_weights_stay_what_they_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights, seen = random.normal(size=(3, 5)), inputs(random, 40, 5)
    np.testing.assert_allclose(resolved(weights, seen, seen @ weights.T, 0.1), weights, atol=1e-9)


def test_solved_for_rough_inputs_they_make_up_for_an_error_that_all_share() -> None:
    random = np.random.default_rng(0)
    weights, exact = random.normal(size=(3, 5)), inputs(random, 400, 5)
    exact -= exact.mean(0)
    rough, wanted = exact * 0.9, exact @ weights.T
    before = np.square(rough @ weights.T - wanted).mean()
    after = np.square(rough @ resolved(weights, rough, wanted, 1e-3).T - wanted).mean()
    assert after < before / 100


@pytest.mark.parametrize("outlier", [1.0, 8.0])
def test_a_range_clips_a_rare_outlier_and_nothing_else(outlier: float) -> None:
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 1_000_000), outlier)
    _, high = least_squares_range(values, -1.0, outlier)
    assert (high == outlier) == (outlier == 1.0)


def test_the_levels_of_a_picture_are_exact() -> None:
    levels = np.arange(256.0)
    np.testing.assert_array_equal(on_grid(levels, 0.0, 255.0), levels)
    assert least_squares_range(levels, 0.0, 255.0) == (0.0, 255.0)
