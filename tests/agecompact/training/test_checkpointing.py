"""A state file returns what was stored, and only to the training that stored it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.training.checkpointing import State, moments, with_moments
from agecompact.training.history import Epoch

_IDENTITY: dict[str, Any] = {"seed": 1, "recipe": {"rates": {"a": 0.1}}}
_HISTORY = (Epoch(loss=1 / 3, val=0.1, rate=1e-9, seconds=2.0),)


def test_tensors_and_history_come_back_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    groups: dict[str, dict[str, Tensor]] = {
        "network": {
            "a.weight": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
            "a.count": torch.tensor(2**40),
        },
        "optimiser": {"0.exp_avg": torch.randn(5), "0.step": torch.tensor(7.0)},
    }
    path = tmp_path / "state.safetensors"
    state = State(path, _IDENTITY)
    assert state.restore() == ({}, ())
    state.store(groups, _HISTORY)
    restored, history = State(path, dict(_IDENTITY)).restore()
    assert history == _HISTORY
    assert restored.keys() == groups.keys()
    for group, values in groups.items():
        assert restored[group].keys() == values.keys()
        for name, value in values.items():
            assert torch.equal(restored[group][name], value)
            assert restored[group][name].dtype == value.dtype


def test_another_identity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    State(path, _IDENTITY).store({"network": {"a": torch.ones(1)}}, _HISTORY)
    with pytest.raises(UsageError, match="--restart"):
        State(path, {**_IDENTITY, "seed": 2}).restore()


def test_an_optimiser_continues_with_its_moments() -> None:
    def made() -> tuple[nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(layer: nn.Linear, optimiser: torch.optim.AdamW) -> None:
        optimiser.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()

    layer, optimiser = made()
    step(layer, optimiser)
    other, fresh = made()
    other.load_state_dict(layer.state_dict())
    # As a file would: the optimiser's own tensors go on changing.
    stored = {name: value.clone() for name, value in moments(optimiser.state_dict()).items()}
    fresh.load_state_dict(with_moments(fresh.state_dict(), stored))
    step(layer, optimiser)
    step(other, fresh)
    assert torch.equal(layer.weight, other.weight)
    assert torch.equal(layer.bias, other.bias)
