"""The search finds an error that the fixed inputs do not show, within its budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agecompact.contract import Output
from agecompact.models import registry
from parity_tests import inputs
from parity_tests.compare import Outputs
from parity_tests.inputs import Sample
from parity_tests.parts import Part
from parity_tests.search import Budget, Predict, SearchResult, search
from parity_tests.spans import SPANS

BUDGET = Budget(rounds=5, children=10)
# One crop, so one column.
AGE = Part(Output("age", "years"), slice(0, 1), (SPANS["years"],))
STARTS = inputs.standard(registry.get("ssrnet").contract)[:6]


def brightness(samples: Sequence[Sample]) -> Outputs:
    return np.array([[crop.mean() for crop in sample.crops.values()] for sample in samples])


def wrong_where_blue(samples: Sequence[Sample]) -> Outputs:
    """Its error is how much blue exceeds red, which no starting input shows much of."""
    excess = [
        [float(crop[..., 0].mean() - crop[..., 2].mean()) for crop in sample.crops.values()]
        for sample in samples
    ]
    return brightness(samples) + np.maximum(np.array(excess), 0)


def errors_of(samples: Sequence[Sample]) -> np.ndarray:
    return AGE.errors(brightness(samples), wrong_where_blue(samples))


def searched(budget: Budget = BUDGET, reference: Predict = brightness) -> SearchResult:
    errors = errors_of(STARTS)[:, np.newaxis]
    return search(reference, wrong_where_blue, [AGE], STARTS, errors, budget)


def test_it_finds_a_greater_error_than_every_start() -> None:
    found = searched()
    assert found.errors[0] > 1.5 * errors_of(STARTS).max()
    assert found.samples[0].name.startswith("searched")
    # The error is that of the returned input.
    assert found.errors[0] == pytest.approx(float(errors_of([found.samples[0]])[0]))


def test_the_same_seed_finds_the_same_and_another_seed_another() -> None:
    one, same, other = (searched(Budget(2, 6, seed=seed)).errors for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_it_keeps_to_its_budget_and_to_valid_images() -> None:
    tried: list[Sample] = []

    def counting(samples: Sequence[Sample]) -> Outputs:
        tried.extend(samples)
        return brightness(samples)

    found = searched(reference=counting)
    assert len(tried) == found.tried == BUDGET.rounds * BUDGET.children
    for sample in tried:
        for name, crop in sample.crops.items():
            assert crop.dtype == np.uint8
            assert crop.shape == STARTS[0].crops[name].shape or crop.shape[2] == 3


def test_it_finds_nothing_between_equal_models() -> None:
    found = search(brightness, brightness, [AGE], STARTS, np.zeros((len(STARTS), 1)), BUDGET)
    assert found.errors[0] == 0.0


def test_without_rounds_it_returns_the_worst_start() -> None:
    found = searched(Budget(rounds=0))
    assert (found.errors[0], found.tried) == (errors_of(STARTS).max(), 0)
