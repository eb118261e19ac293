"""Two-point labels, the losses built on them, and where networks start."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agecompact.models import registry
from agecompact.models.c3ae import C3AE
from agecompact.training import losses
from agecompact.training.losses import Answer

_NONE = nn.Identity()


def _answer(*values: float) -> Answer:
    return Answer(torch.tensor(values, dtype=torch.float32).unsqueeze(1), None)


def _targets(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(1)


@pytest.mark.parametrize("age", [0.0, 10.0, 20.0, 60.0, 70.0])
def test_at_multiples_of_the_interval_one_bin_has_all_the_weight(age: float) -> None:
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
    assert losses.l1(_NONE, _answer(1, 5, 10), _targets(2, 5, 4)).item() == pytest.approx(7 / 3)


def test_smooth_l1_is_square_below_a_year_and_straight_above() -> None:
    # 0.5 * 0.4 ** 2 and 3 - 0.5.
    value = losses.smooth_l1(_NONE, _answer(1.4, 8), _targets(1, 5)).item()
    assert value == pytest.approx((0.08 + 2.5) / 2)


@given(st.floats(-1, 2), st.sampled_from([0.0, 1.0]))
def test_binary_is_the_cross_entropy_of_the_score_about_its_threshold(
    score: float, target: float
) -> None:
    probability = 1 / (1 + math.exp(-10 * (score - 0.5)))
    expected = -math.log(probability if target else 1 - probability)
    value = losses.binary(_NONE, _answer(score), _targets(target)).item()
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
    told = losses.answer(network, crops)
    assert losses.cascade(network, told, ages).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("model_id", [*registry.MODELS, *registry.TEACHERS])
def test_an_answer_is_the_networks_own_in_float32(model_id: str) -> None:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    crops = tuple(torch.rand(2, 3, 64, 64) for _ in registry.get(model_id).contract.crops)
    with torch.no_grad():
        told = losses.answer(network, crops)
        assert torch.equal(told.value, network(*crops))
        with torch.autocast("cpu", torch.bfloat16):
            half = losses.answer(network, crops)
    assert half.value.dtype == torch.float32
    assert (told.bins is None) == (model_id != "c3ae")
    if told.bins is not None:
        assert torch.allclose(told.bins.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("model_id", ["c3ae-plain", "c3ae", "mobileagenet", "efficientnet-lite0"])
def test_a_fresh_network_starts_at_plausible_ages(model_id: str) -> None:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    losses.start_at(network, 33.0)
    inputs = tuple(torch.zeros(1, 3, 64, 64) for _ in registry.get(model_id).contract.crops)
    with torch.no_grad():
        assert 20 < network(*inputs).item() < 50


@pytest.mark.parametrize("mean", [0.2, 1.0, 95.0, 110.0])
@pytest.mark.parametrize("model_id", ["mobileagenet", "efficientnet-lite0"])
def test_a_mean_beyond_what_a_network_can_answer_starts_it_at_its_bound(
    model_id: str, mean: float
) -> None:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    losses.start_at(network, mean)
    with torch.no_grad():
        age = network(torch.zeros(1, 3, 64, 64)).item()
    assert abs(age - min(max(mean, 1.0), 95.0)) < 5
    assert 1 < age < 95, "where the sigmoid still has a slope"
