"""A state returns every bit of a training, and only to the training that stored it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.training.checkpointing import Checkpoints
from agecompact.training.history import Epoch
from tests.agecompact.training import small

_HISTORY = (Epoch(loss=1 / 3, val=0.1, rate=1e-9, seconds=2.0),)


def _network(seed: int) -> tuple[nn.Module, torch.optim.AdamW]:
    torch.manual_seed(seed)
    network = registry.build("c3ae-plain", {"dropout": 0.0})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, torch.optim.AdamW(network.parameters(), lr=0.1)


def _step(network: nn.Module, optimiser: torch.optim.AdamW) -> None:
    optimiser.zero_grad()
    network(torch.ones(2, 3, 64, 64)).square().sum().backward()
    optimiser.step()


def test_a_training_continues_bit_for_bit(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path, small.recipe(), {"seed": 1, "rates": {"a": 0.1}})
    network, optimiser = _network(0)
    assert files.restore(network, None).history == ()
    _step(network, optimiser)
    files.save(network, None, optimiser, _HISTORY, best=False)
    stored = {name: value.clone() for name, value in network.state_dict().items()}

    other, fresh = _network(1)
    restored = files.restore(other, None)
    assert restored.history == _HISTORY
    for name, value in other.state_dict().items():
        assert torch.equal(value, stored[name]), name
        assert value.dtype == stored[name].dtype
    restored.load_moments(fresh)
    _step(network, optimiser)
    _step(other, fresh)
    for name, value in other.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_another_identity_is_refused(tmp_path: Path) -> None:
    network, optimiser = _network(0)
    _step(network, optimiser)
    files = Checkpoints(tmp_path, small.recipe(), {"seed": 1})
    files.save(network, None, optimiser, _HISTORY, best=True)
    with pytest.raises(UsageError, match="--restart"):
        Checkpoints(tmp_path, small.recipe(), {"seed": 2}).restore(network, None)
