"""Which layers stay in float32 under autocast, and why the moving average is copied first."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from agecompact.training.precision import keep_float32

_CPU = torch.device("cpu")


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        nn.Flatten(),
        nn.Linear(8 * 16, 1),
    )


def _kinds(network: nn.Module, face: Tensor) -> dict[str, torch.dtype]:
    """The dtype of each layer's output under autocast."""
    kinds = {}

    def record(name: str) -> object:
        return lambda _module, _inputs, output: kinds.update({name: output.dtype})

    hooks = [m.register_forward_hook(record(n)) for n, m in network.named_children()]  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        network(face)
    for hook in hooks:
        hook.remove()
    return kinds


def test_linear_layers_and_slow_convolutions_compute_in_float32() -> None:
    network, face = _network(), torch.rand(2, 3, 8, 8)
    assert set(_kinds(network, face).values()) == {torch.bfloat16}
    keep_float32(network, _CPU)
    kinds = _kinds(network, face)
    assert [kinds[layer] for layer in "01235"] == [torch.bfloat16] * 2 + [torch.float32] * 3


def test_a_gpu_keeps_its_fast_convolutions() -> None:
    network = _network()
    keep_float32(network, torch.device("cuda"))
    patched = [name for name, module in network.named_children() if "forward" in vars(module)]
    assert patched == ["5"]


def test_without_autocast_nothing_changes() -> None:
    network, face = _network(), torch.rand(2, 3, 8, 8)
    before = network(face)
    keep_float32(network, _CPU)
    assert torch.equal(network(face), before)
    assert set(network.state_dict()) == set(_network().state_dict())


def test_gradients_reach_through() -> None:
    network = _network()
    keep_float32(network, _CPU)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.rand(2, 3, 8, 8)).sum()
    loss.backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("copied_first", [True, False])
def test_a_copy_must_be_made_before(copied_first: bool) -> None:
    """A copy made afterwards would call the layers of the original network."""
    network = _network()
    if copied_first:
        twin = copy.deepcopy(network)
        keep_float32(network, _CPU)
    else:
        keep_float32(network, _CPU)
        twin = copy.deepcopy(network)
    face = torch.rand(2, 3, 8, 8)
    before = twin(face)
    with torch.no_grad():
        last = network[-1]
        assert isinstance(last, nn.Linear)
        last.bias.add_(10.0)
    assert torch.equal(twin(face), before) == copied_first
