"""The search finds a disagreement that the fixed inputs do not show, within its budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agecompact.models import registry
from parity_tests import inputs
from parity_tests.compare import Outputs, output_errors
from parity_tests.inputs import Sample
from parity_tests.search import Budget, search

BUDGET = Budget(rounds=5, children=10)


@pytest.fixture(scope="module")
def starts() -> tuple[Sample, ...]:
    return inputs.standard(registry.get("ssrnet").contract)[:6]


def brightness(samples: Sequence[Sample]) -> Outputs:
    return np.array([[crop.mean() for crop in sample.crops.values()] for sample in samples])


def unlike_where_blue(samples: Sequence[Sample]) -> Outputs:
    """Disagrees by how much blue exceeds red: no start shows much of it."""
    excess = [
        [float(crop[..., 0].mean() - crop[..., 2].mean()) for crop in sample.crops.values()]
        for sample in samples
    ]
    return brightness(samples) + np.maximum(np.array(excess), 0)


def known(starts: Sequence[Sample]) -> np.ndarray:
    return output_errors(brightness(starts), unlike_where_blue(starts))


def test_it_climbs_above_every_start(starts: tuple[Sample, ...]) -> None:
    found = search(brightness, unlike_where_blue, starts, known(starts), BUDGET)
    assert found.error > 1.5 * known(starts).max()
    assert found.sample.group == "searched"
    # What is reported is what the input that is handed back really shows.
    again = output_errors(brightness([found.sample]), unlike_where_blue([found.sample]))
    assert found.error == pytest.approx(float(again[0]))


def test_the_same_seed_finds_the_same_and_another_seed_another(
    starts: tuple[Sample, ...],
) -> None:
    def run(seed: int) -> float:
        budget = Budget(rounds=2, children=6, seed=seed)
        return search(brightness, unlike_where_blue, starts, known(starts), budget).error

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_it_keeps_to_its_budget_and_to_valid_images(starts: tuple[Sample, ...]) -> None:
    asked: list[Sample] = []

    def counting(samples: Sequence[Sample]) -> Outputs:
        asked.extend(samples)
        return brightness(samples)

    found = search(counting, unlike_where_blue, starts, known(starts), BUDGET)
    assert len(asked) == found.tried == BUDGET.rounds * BUDGET.children
    for sample in asked:
        for name, crop in sample.crops.items():
            assert crop.dtype == np.uint8
            assert crop.shape == starts[0].crops[name].shape or crop.shape[2] == 3


def test_models_that_agree_everywhere_have_nothing_to_find(starts: tuple[Sample, ...]) -> None:
    found = search(brightness, brightness, starts, np.zeros(len(starts)), BUDGET)
    assert found.error == 0.0
