"""Two-point labels and the losses built on them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agecompact.models import registry
from agecompact.training import losses


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


def test_cascade_is_the_sum_of_its_parts() -> None:
    network = registry.build("c3ae", {"interval": 15.0}).eval()
    crops = tuple(torch.rand(4, 3, 64, 64) * 255 for _ in range(3))
    ages = torch.tensor([[1.0], [30.0], [44.0], [90.0]])
    bins = network.bins(*crops)
    truth = losses.two_point(ages, 8, 15.0)
    divergence = torch.xlogy(truth, truth / bins).sum(dim=1).mean()
    error = (network(*crops) - ages).abs().mean()
    expected = 10 * (divergence + 1e-4 * network.w1.weight.abs().sum()) + error
    assert losses.cascade(network, crops, ages).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("model_id", ["c3ae-plain", "c3ae", "mobileagenet"])
def test_a_fresh_network_starts_at_plausible_ages(model_id: str) -> None:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    losses.start_at(network, 33.0)
    contract = registry.get(model_id).contract
    inputs = tuple(torch.zeros(1, 3, contract.height, contract.width) for _ in contract.crops)
    with torch.no_grad():
        assert 20 < network(*inputs).item() < 50
