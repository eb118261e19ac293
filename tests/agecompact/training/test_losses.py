"""Two-point labels and the losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agecompact.models import registry
from agecompact.models.c3ae import C3AE
from agecompact.models.trainable import LossFeatures
from agecompact.training import losses


def _targets(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


def _features(*values: float) -> LossFeatures:
    return LossFeatures(_targets(*values))


@pytest.mark.parametrize("age", [0.0, 10.0, 20.0, 60.0, 70.0])
def test_a_multiple_of_the_interval_puts_all_weight_on_one_bin(age: float) -> None:
    weights = losses.two_point(torch.tensor([[age]]), 8, 10.0)
    expected = torch.zeros(1, 8)
    expected[0, int(age) // 10] = 1
    assert torch.equal(weights, expected)


@given(st.floats(0, 105, width=32), st.sampled_from([(8, 15.0), (12, 10.0), (22, 5.0)]))
def test_the_weighted_mean_of_the_bins_is_the_age(age: float, layout: tuple[int, float]) -> None:
    bins, interval = layout
    weights = losses.two_point(torch.tensor([[age]]), bins, interval)
    assert weights.shape == (1, bins)
    assert weights.min() >= 0
    assert weights.sum().item() == pytest.approx(1)
    assert int((weights > 0).sum()) <= 2
    assert (weights * torch.arange(bins) * interval).sum().item() == pytest.approx(age, abs=1e-3)


@pytest.mark.parametrize(("age", "bin_index"), [(-3.0, 0), (116.0, 7)])
def test_ages_beyond_the_bins_go_to_the_nearest(age: float, bin_index: int) -> None:
    assert losses.two_point(torch.tensor([[age]]), 8, 10.0)[0, bin_index] == 1


def test_l1_is_the_mean_error() -> None:
    assert losses.l1(_features(1, 5, 10), _targets(2, 5, 4)).item() == pytest.approx(7 / 3)


def test_smooth_l1_is_quadratic_below_a_year_and_linear_above() -> None:
    # 0.5 * 0.4 ** 2 and 3 - 0.5.
    value = losses.smooth_l1(_features(1.4, 8), _targets(1, 5)).item()
    assert value == pytest.approx((0.08 + 2.5) / 2)


@given(st.floats(-1, 2), st.sampled_from([0.0, 1.0]))
def test_binary_is_the_cross_entropy_of_the_score(score: float, target: float) -> None:
    probability = 1 / (1 + math.exp(-10 * (score - 0.5)))
    expected = -math.log(probability if target else 1 - probability)
    value = losses.binary(_features(score), _targets(target)).item()
    assert value == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_cascade_is_the_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    network = registry.build("c3ae", {"interval": 15.0}).eval()
    assert isinstance(network, C3AE)
    assert network.w1 is not None
    crops = tuple(torch.rand(4, 3, 64, 64) * 255 for _ in range(3))
    ages = torch.tensor([[1.0], [30.0], [44.0], [90.0]])
    bins = network.bins(*crops)
    truth = losses.two_point(ages, 8, 15.0)
    divergence = torch.xlogy(truth, truth / bins).sum(dim=1).mean()
    error = (network(*crops) - ages).abs().mean()
    expected = 10 * (divergence + 1e-4 * network.w1.weight.abs().sum()) + error
    assert losses.cascade(network.features_for_loss(*crops), ages).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
