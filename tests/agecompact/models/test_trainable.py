"""What the shipped networks offer to training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from agecompact.models import registry
from agecompact.models.trainable import AdaptsWeights, HasOutputStart


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


@pytest.fixture(scope="module")
def stems() -> tuple[Tensor, Tensor]:
    """The kernels of MobileAgeNet's first convolution: the paper's, and the same one widened."""
    torch.manual_seed(0)
    narrow, wide = registry.build("mobileagenet"), registry.build("mobileagenet", {"stem": 5})
    assert isinstance(wide, AdaptsWeights)
    wide.load_state_dict(dict(wide.adapted(narrow.state_dict())))
    name = "features.0.0.weight"
    return narrow.state_dict()[name], wide.state_dict()[name]


def test_a_widened_stem_sees_an_even_surface_as_before(stems: tuple[Tensor, Tensor]) -> None:
    narrow, wide = stems
    assert wide.shape[-1] == 5
    torch.testing.assert_close(wide.sum((2, 3)), narrow.sum((2, 3)))


def test_a_widened_stem_sees_other_pictures_blurred(stems: tuple[Tensor, Tensor]) -> None:
    narrow, wide = stems
    picture = torch.rand(1, 3, 64, 64)
    blur = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    blurred = functional.conv2d(picture.transpose(0, 1), torch.outer(blur, blur)[None, None])
    seen = functional.conv2d(blurred.transpose(0, 1), narrow)
    got = functional.conv2d(picture, wide)[..., 1:-1, 1:-1]
    assert (got - seen).std() < 0.2 * seen.std()


def test_a_widened_stem_ignores_the_finest_pattern(stems: tuple[Tensor, Tensor]) -> None:
    narrow, wide = (
        (kernel * ((-1.0) ** torch.arange(kernel.shape[-1]))[:, None]).sum((2, 3))
        for kernel in stems
    )
    assert wide.abs().mean() < 0.1 * narrow.abs().mean()


@pytest.mark.parametrize("stem", [3, 5])
def test_weights_of_the_same_stem_stay_as_they_are(stem: int) -> None:
    network = registry.build("mobileagenet", {"stem": stem})
    assert isinstance(network, AdaptsWeights)
    state = network.state_dict()
    assert network.adapted(state) is state
