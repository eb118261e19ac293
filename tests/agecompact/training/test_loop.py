"""The loop learns, repeats itself after a kill, and stops at NaN."""

import dataclasses
from pathlib import Path

import pytest
import torch

from agecompact.data import splits, utkface
from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.training import loop, losses, recipes


@pytest.fixture(scope="module")
def split(tiny_utkface: Path) -> Split:
    return splits.split(utkface.read(tiny_utkface).faces)


def _recipe(model_id: str = "c3ae-plain", epochs: int = 2) -> recipes.Recipe:
    return dataclasses.replace(recipes.get(model_id), epochs=epochs, batch=8)


def test_the_loss_falls(split: Split, tmp_path: Path) -> None:
    trained = loop.train("c3ae-plain", _recipe(epochs=8), split, tmp_path / "s", say=str)
    assert trained.history[-1].loss < 0.7 * trained.history[0].loss
    assert trained.seconds == sum(epoch.seconds for epoch in trained.history)


@pytest.mark.parametrize("model_id", ["ssrnet", "c3ae"])
def test_a_resumed_training_is_the_unbroken_one(
    model_id: str, split: Split, tmp_path: Path
) -> None:
    recipe = _recipe(model_id, epochs=3)
    unbroken = loop.train(model_id, recipe, split, tmp_path / "unbroken", say=str)

    class KilledError(Exception):
        pass

    def kill_after_second(line: str) -> None:
        if line.startswith("epoch 2/3"):
            raise KilledError

    broken = tmp_path / "broken"
    with pytest.raises(KilledError):
        loop.train(model_id, recipe, split, broken, say=kill_after_second)
    lines: list[str] = []
    resumed = loop.train(model_id, recipe, split, broken, say=lines.append)

    assert lines[0] == "resuming after epoch 2"
    assert len(resumed.history) == 3
    for name, tensor in unbroken.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_the_state_of_another_training_is_refused(split: Split, tmp_path: Path) -> None:
    loop.train("c3ae-plain", _recipe(epochs=1), split, tmp_path / "s", say=str)
    with pytest.raises(UsageError, match="--restart"):
        loop.train("c3ae-plain", _recipe(epochs=2), split, tmp_path / "s", say=str)


def test_a_broken_state_is_refused(split: Split, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"half a file")
    with pytest.raises(UsageError, match="cannot resume"):
        loop.train("c3ae-plain", _recipe(), split, tmp_path / "s", say=str)


def test_nan_stops_and_says_so(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = torch.tensor(float("nan"))
    monkeypatch.setattr(losses, "LOSSES", {"l1": lambda *_: nan})
    with pytest.raises(UsageError, match="loss became nan in epoch 1, step 1"):
        loop.train("c3ae-plain", _recipe(), split, tmp_path / "s", say=str)
    assert not (tmp_path / "s").exists()


def test_phases_set_the_input_side(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []

    def spy(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _: object) -> torch.Tensor:
        sides.append(inputs[0].shape[2])
        return sum(p.sum() for p in network.parameters())

    monkeypatch.setattr(losses, "LOSSES", {"smooth_l1": spy})
    phases = (recipes.Phase(0.5, 64), recipes.Phase(0.5, 32))
    recipe = dataclasses.replace(_recipe("mobileagenet"), phases=phases)
    loop.train("mobileagenet", recipe, split, tmp_path / "s", say=str)
    assert sides == [64] * (len(sides) // 2) + [32] * (len(sides) // 2)
