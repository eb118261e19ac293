"""What the shipped networks offer to training."""

from __future__ import annotations

import pytest
import torch

from agecompact.models import registry
from agecompact.models.trainable import HasOutputStart


def _first_age(model_id: str, mean: float) -> float:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    assert isinstance(network, HasOutputStart)
    network.initialise_output(mean)
    inputs = tuple(torch.zeros(1, 3, 64, 64) for _ in registry.get(model_id).contract.crops)
    with torch.no_grad():
        return float(network(*inputs))


@pytest.mark.parametrize("model_id", ["c3ae-plain", "c3ae", "mobileagenet", "efficientnet-lite0"])
def test_a_fresh_network_starts_at_plausible_ages(model_id: str) -> None:
    assert 20 < _first_age(model_id, 33.0) < 50


@pytest.mark.parametrize("mean", [0.2, 1.0, 95.0, 110.0])
@pytest.mark.parametrize("model_id", ["mobileagenet", "efficientnet-lite0"])
def test_a_mean_out_of_bounds_starts_a_network_near_its_bound(model_id: str, mean: float) -> None:
    age = _first_age(model_id, mean)
    assert abs(age - min(max(mean, 1.0), 95.0)) < 5
    assert 1 < age < 95, "where the sigmoid still has a slope"
