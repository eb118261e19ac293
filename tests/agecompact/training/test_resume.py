"""A killed training continues as if it had never stopped, and only its own state is used."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.training.recipe import Distillation, Schedule, Stage
from agecompact.training.teacher import Teacher
from agecompact.training.watch import QUIET
from tests.agecompact.training import small

_CONSTANT = Schedule("constant")


def test_another_seed_is_another_training(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=1)
    losses_of = [
        small.train(recipe, split, tmp_path / str(seed), seed=seed)[1].history[0].loss
        for seed in (0, 1)
    ]
    assert losses_of[0] != losses_of[1]


# Model, changes to its recipe, and epochs after which the training is killed.
_RESUMED: dict[str, tuple[str, dict[str, Any], int]] = {
    "plain": ("ssrnet", {}, 2),
    "three crops and the cascade loss": ("c3ae", {}, 2),
    "gender": ("ssrnet-gender", {}, 2),
    "moving average": ("c3ae-plain", {"ema": 0.9}, 2),
    "plateaus": (
        "c3ae-plain",
        {"stages": (Stage(1.0, 0.5, Schedule("plateau", factor=0.5, epochs=1)),), "epochs": 6},
        4,
    ),
    "inside the second stage": (
        "c3ae-plain",
        {"stages": (Stage(0.25, 1e-3), Stage(0.75, 4e-3, weight_decay=1e-3))},
        2,
    ),
    "between two stages": (
        "c3ae-plain",
        {"stages": (Stage(0.5, 1e-3), Stage(0.5, 4e-3, weight_decay=1e-3))},
        2,
    ),
    "convolutions of one channel, a frozen trunk, then two rates": (
        "mobileagenet",
        {
            "stages": (
                Stage(0.25, 1e-3, frozen=("features",)),
                Stage(0.75, 4e-3, rates={"features": 0.1}),
            ),
            "epochs": 4,
            "ema": 0.9,
        },
        2,
    ),
    "bfloat16": ("c3ae-plain", {"precision": "bf16-mixed", "ema": 0.9}, 2),
    "several parts a step": ("c3ae-plain", {"parts": 2}, 2),
    "a teacher's predictions": ("c3ae-plain", {"distillation": Distillation(0.5)}, 2),
    "a teacher's predictions for views": ("c3ae-plain", {"distillation": Distillation(0.5, 3)}, 2),
    "hints": (
        "mobileagenet",
        {
            "stages": (Stage(0.5, 1e-3, hints=10.0), Stage(0.5, 1e-3)),
            "epochs": 2,
            "distillation": Distillation(),
        },
        1,
    ),
    "an early stop": (
        "c3ae-plain",
        {"early_stop": 2, "epochs": 30, "stages": (Stage(1.0, 0.3, _CONSTANT),)},
        2,
    ),
}


# Each of the others takes seconds, and adds one more thing to resume.
_FAST = ("plain", "moving average", "inside the second stage")


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c in _FAST else [pytest.mark.slow]) for c in _RESUMED],
)
def test_a_resumed_training_ends_as_an_uninterrupted_one(
    case: str, split: Split, tmp_path: Path
) -> None:
    model_id, changes, killed = _RESUMED[case]
    recipe = small.recipe(model_id, **changes)
    teacher_id = "efficientnet-lite0" if case == "hints" else "c3ae-plain"

    def teacher() -> Teacher | None:
        return small.teacher(teacher_id) if recipe.distillation else None

    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    expected, whole = small.train(recipe, split, unbroken, teacher=teacher())

    small.train_until_killed(killed, recipe, split, broken, teacher=teacher())
    lines: list[str] = []
    watch = dataclasses.replace(QUIET, say=lines.append)
    network, resumed = small.train(recipe, split, broken, teacher=teacher(), watch=watch)

    assert lines[0] == f"resuming after epoch {killed}"
    assert len(lines) == 1 + len(whole.history) - killed
    assert small.without_seconds(resumed.history) == small.without_seconds(whole.history)
    assert resumed.kept == whole.kept
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    small.assert_equal_trainings(unbroken, broken)


def test_a_finished_training_does_not_continue(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=1)
    first, _ = small.train(recipe, split, tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    second, trained = small.train(recipe, split, tmp_path)
    assert len(trained.history) == 1
    assert (tmp_path / "state.safetensors").read_bytes() == before
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_a_resumed_training_reports_the_last_epoch_again(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=2)
    small.train_until_killed(2, recipe, split, tmp_path)
    reported: list[int] = []
    watch = dataclasses.replace(QUIET, report=lambda h: reported.append(len(h)))
    small.train(recipe, split, tmp_path, watch=watch)
    assert reported == [2]


def _other(split: Split) -> Split:
    """A split with as many training faces."""
    return dataclasses.replace(split, train=(split.val[0], *split.train[1:]))


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"epochs": 2}},
        {"recipe": {"clip_norm": 1.0}},
        {"seed": 1},
        {"origin": {"start": "ab"}},
        {"teacher": 6},
        {"split": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_state_of_another_training_is_refused(
    change: dict[str, Any], split: Split, tmp_path: Path
) -> None:
    recipe = small.recipe(epochs=1, distillation=Distillation())
    small.train(recipe, split, tmp_path, teacher=small.teacher())
    before = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(UsageError, match="--restart"):
        small.train(
            dataclasses.replace(recipe, **change.get("recipe", {})),
            _other(split) if "split" in change else split,
            tmp_path,
            seed=change.get("seed", 0),
            origin=change.get("origin"),
            teacher=small.teacher(seed=change.get("teacher", 5)),
        )
    assert (tmp_path / "state.safetensors").read_bytes() == before


@pytest.mark.parametrize("change", ["augmentation", "seed", "teacher", "split"])
def test_predictions_stored_for_another_training_are_not_used(
    change: str, split: Split, tmp_path: Path
) -> None:
    recipe = small.recipe(epochs=1, distillation=Distillation(1.0, 1))
    lighter = dataclasses.replace(recipe.augmentation, light=0.5)

    def train(out: Path, change: str) -> float:
        chosen = recipe
        if change == "augmentation":
            chosen = dataclasses.replace(recipe, augmentation=lighter)
        parted = _other(split) if change == "split" else split
        teacher = small.teacher(seed=6 if change == "teacher" else 5)
        seed = 1 if change == "seed" else 0
        return small.train(chosen, parted, out, teacher=teacher, seed=seed)[1].history[0].loss

    train(tmp_path, "nothing")
    (tmp_path / "state.safetensors").unlink()
    assert train(tmp_path, change) == train(tmp_path / "alone", change)


@pytest.mark.parametrize("damage", ["half", "text", "empty", "foreign"])
def test_a_broken_state_is_refused(damage: str, split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=1)
    small.train(recipe, split, tmp_path)
    state = tmp_path / "state.safetensors"
    content = {
        "half": state.read_bytes()[:-100],
        "text": b"half a file",
        "empty": b"",
        "foreign": (tmp_path / "last.safetensors").read_bytes(),
    }
    state.write_bytes(content[damage])
    with pytest.raises(UsageError, match=r"cannot resume[\s\S]*--restart"):
        small.train(recipe, split, tmp_path)
