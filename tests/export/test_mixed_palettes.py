"""The bits of each layer's palette, on a network whose layers matter to known degrees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from export import mixed_palettes
from export.mixed_palettes import chosen_widths
from export.palette import Array, approximated

SHARES = {"much": 1.0, "little": 1e-3, "some": 0.1}


class Sum(nn.Module):
    """Three layers side by side, of which one decides the answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleDict({name: nn.Linear(48, 48) for name in SHARES})

    def forward(self, face: Tensor) -> Tensor:
        parts = [share * self.layers[name](face.flatten(1)) for name, share in SHARES.items()]
        total: Tensor = torch.stack(parts).sum(dim=0).sum(dim=1, keepdim=True)
        return total


@pytest.fixture
def network() -> Sum:
    return Sum().eval()


@pytest.fixture
def weights(network: Sum) -> dict[str, Array]:
    made = {f"{n}_to_fp16": layer.weight for n, layer in network.layers.items()}
    return {name: weight.detach().numpy().astype(np.float16) for name, weight in made.items()}


FACES = {"face": np.random.default_rng(0).random((80, 3, 4, 4)).astype(np.float32)}


def moved(network: Sum, weights: dict[str, Array], widths: dict[str, int]) -> float:
    """How far answers move, as a share of their standard deviation, with palettes."""
    faces = torch.from_numpy(FACES["face"])
    with torch.no_grad():
        before = network(faces)
        for name, bits in widths.items():
            value = torch.from_numpy(approximated(weights[name], bits).astype(np.float32))
            network.layers[name.removesuffix("_to_fp16")].weight.copy_(value)
        return float((network(faces) - before).square().mean().sqrt() / before.std())


def test_layers_that_matter_less_get_fewer_bits(network: Sum, weights: dict[str, Array]) -> None:
    widths = chosen_widths(weights, network, FACES)
    bits = {name: widths.get(f"{name}_to_fp16", 16) for name in SHARES}
    assert bits["little"] == 4
    assert bits["little"] <= bits["some"] <= bits["much"]
    assert bits["little"] < bits["much"]


def test_the_whole_stays_within_the_limit_and_uses_it(
    network: Sum, weights: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (0.002, 0.01, 0.5):
        monkeypatch.setattr(mixed_palettes, "LIMIT", limit)
        widths = chosen_widths(weights, network, FACES)
        assert moved(network, weights, widths) <= 1.1 * limit
        network.load_state_dict(Sum().state_dict())
        found.append(sum(widths.get(name, 16) for name in weights))
    # A larger error buys a smaller file.
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] == 4 * len(weights)


def test_parameters_are_as_before(network: Sum, weights: dict[str, Array]) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    chosen_widths(weights, network, FACES)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_constant_that_is_no_parameter_keeps_its_numbers(
    network: Sum, weights: dict[str, Array]
) -> None:
    made = {**weights, "made_by_the_converter": np.ones((48, 48), np.float16)}
    assert "made_by_the_converter" not in chosen_widths(made, network, FACES)
