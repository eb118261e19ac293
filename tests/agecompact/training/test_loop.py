"""The loop learns, is reproducible, resumes where it was killed, and stops at NaN."""

from __future__ import annotations

import dataclasses
import json
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agecompact.data.splits import Split
from agecompact.errors import OutputError, UsageError
from agecompact.evaluation.evaluate import measure
from agecompact.evaluation.metrics import AgeFigures, Figure
from agecompact.models import registry
from agecompact.models.trainable import LossFeatures
from agecompact.training import loop, losses, objective
from agecompact.training.recipe import Distillation, Schedule, Stage
from agecompact.training.run import Run
from agecompact.training.watch import Watch
from agecompact.weights import checkpoints
from tests.agecompact.training import small

_CONSTANT = Schedule("constant")


def test_the_loss_falls_and_the_validation_with_it(split: Split, tmp_path: Path) -> None:
    stages = (Stage(1.0, 0.004, _CONSTANT),)
    # The norms' own momentum of 0.01 would need hundreds of steps.
    recipe = small.recipe(epochs=12, keep="last", stages=stages, norm_momentum=0.3)
    _, trained = small.train(recipe, split, tmp_path)
    assert trained.history[-1].loss < 0.7 * trained.history[0].loss
    assert trained.history[-1].val < trained.history[0].val
    assert trained.seconds == sum(epoch.seconds for epoch in trained.history)


def _scripted(monkeypatch: pytest.MonkeyPatch, errors: Sequence[float]) -> None:
    """Replaces validations by prescribed errors, in turn."""
    remaining = iter(errors)

    def measured(network: nn.Module, *_: object) -> AgeFigures:
        network.eval()
        return AgeFigures(1, Figure(next(remaining)), Figure(0))

    monkeypatch.setattr(loop, "measure", measured)


@pytest.mark.parametrize(
    ("changes", "errors", "epochs", "kept"),
    [
        ({"early_stop": 3}, [9, 7, 8, 7, 7, 1], 5, 2),
        # Better epochs of an earlier stage are ignored.
        (
            {"early_stop": 2, "stages": (Stage(1 / 3, 1e-3), Stage(2 / 3, 1e-3))},
            [3, 2, 9, 8, 7, 7.5],
            6,
            5,
        ),
        ({"keep": "last"}, [1, 2, 3, 4, 5, 6], 6, 6),
    ],
    ids=["early stop", "two stages", "last"],
)
def test_the_recipe_chooses_the_epoch_to_stop_at_and_to_keep(
    changes: dict[str, Any],
    errors: list[float],
    epochs: int,
    kept: int,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _scripted(monkeypatch, errors)
    _, trained = small.train(small.recipe(epochs=6, **changes), split, tmp_path)
    assert len(trained.history) == epochs
    assert trained.kept == kept
    best, last = (checkpoints.read(tmp_path / f"{n}.safetensors").card for n in ("best", "last"))
    assert (best["epoch"], best["val"]) == (kept, errors[kept - 1])
    assert last["epoch"] == epochs


def test_a_plateau_counts_only_its_own_stage(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scripted(monkeypatch, [1, 1, 9, 8, 8, 7])
    plateau = Schedule("plateau", factor=0.5, epochs=1)
    stages = (Stage(1 / 3, 4e-3, plateau), Stage(2 / 3, 1e-3, plateau))
    _, trained = small.train(small.recipe(epochs=6, stages=stages), split, tmp_path)
    rates = [epoch.rate for epoch in trained.history]
    assert rates == pytest.approx([4e-3, 4e-3, 1e-3, 1e-3, 1e-3, 0.5e-3])


def test_the_kept_weights_score_as_in_the_history(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=4, ema=0.7)
    _, trained = small.train(recipe, split, tmp_path)
    for name, epoch in (("best", trained.kept), ("last", 4)):
        weights = checkpoints.read(tmp_path / f"{name}.safetensors")
        metrics = measure(weights.network(), weights.contract, split.val)
        assert metrics.headline.value == pytest.approx(trained.history[epoch - 1].val, abs=1e-4)


def _after_each_step(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[torch.optim.AdamW], None]
) -> None:
    old = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: Any) -> Any:
        done = old(self, *arguments)
        call(self)
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


def test_the_moving_average_is_the_average_of_the_steps(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decay = 0.6
    steps: list[dict[str, Tensor]] = []
    recipe = small.recipe(epochs=2, ema=decay)
    network = small.fresh(recipe)
    average: dict[str, Tensor] = {}
    _after_each_step(
        monkeypatch,
        lambda _: steps.append({k: v.clone() for k, v in network.state_dict().items()}),
    )
    loop.train(network, Run(recipe, split, tmp_path, small.fabric(), 0))
    for number, state in enumerate(steps):
        for name, value in state.items():
            # The average starts as the weights after the first step.
            average[name] = value if not number else decay * average[name] + (1 - decay) * value
    kept = small.tensors(tmp_path / "last.safetensors")
    for name, value in kept.items():
        assert torch.allclose(value, average[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("frozen", ["features", "features.1"])
def test_frozen_modules_keep_weights_and_statistics(
    frozen: str, split: Split, tmp_path: Path
) -> None:
    stages = (Stage(1.0, 1e-2, frozen=(frozen,)),)
    recipe = small.recipe("mobileagenet", epochs=1, stages=stages)
    before = {k: v.clone() for k, v in small.fresh(recipe).state_dict().items()}
    network, _ = small.train(recipe, split, tmp_path)
    same = {k for k, v in network.state_dict().items() if torch.equal(v, before[k])}
    assert not any(name.startswith("head.") for name in same)
    # All of features.10 to features.16, whose names begin with the same text, have changed.
    assert {name for name in same if name.startswith(frozen)} == {
        name for name in before if name.startswith(f"{frozen}.")
    }


@pytest.mark.parametrize("setting", [{"frozen": ("featurs",)}, {"rates": {"featurs": 0.1}}])
def test_a_prefix_without_parameters_is_refused(
    setting: dict[str, Any], split: Split, tmp_path: Path
) -> None:
    stage = Stage(1.0, 1e-3, **setting)
    with pytest.raises(UsageError, match="featurs"):
        small.train(small.recipe("mobileagenet", stages=(stage,)), split, tmp_path)


def test_rates_are_relative_and_follow_the_schedule(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []
    _after_each_step(
        monkeypatch, lambda adam: seen.append(sorted(group["lr"] for group in adam.param_groups))
    )
    schedule = Schedule("step", factor=0.5, epochs=1)
    stages = (Stage(1.0, 0.01, schedule, rates={"trunk": 0.1}),)
    recipe = small.recipe(epochs=2, batch=14, stages=stages)
    _, trained = small.train(recipe, split, tmp_path)
    assert seen == [pytest.approx([r / 10, r]) for r in (0.01, 0.01, 0.005, 0.005)]
    assert [epoch.rate for epoch in trained.history] == [0.01, 0.005]


def test_stages_set_the_input_side_and_validate_at_it(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_at, validated_at = [], []

    def spy(network: nn.Module, inputs: tuple[Tensor, ...]) -> LossFeatures:
        trained_at.append(inputs[0].shape[2])
        value = torch.stack([p.sum() for p in network.parameters()]).sum()
        return LossFeatures(value.expand(len(inputs[0]), 1))

    def measured(_: nn.Module, contract: Any, *__: object) -> AgeFigures:
        validated_at.append(contract.height)
        return AgeFigures(1, Figure(1.0), Figure(0))

    monkeypatch.setattr(objective, "loss_features", spy)
    monkeypatch.setattr(loop, "measure", measured)
    stages = (Stage(0.5, 1e-9, side=64), Stage(0.5, 1e-9, side=32))
    full = small.recipe("mobileagenet", epochs=2, batch=14, clip_norm=1.0)
    small.train(dataclasses.replace(full, stages=stages), split, tmp_path)
    assert trained_at == [64, 64, 32, 32]
    assert validated_at == [64, 32]


def _nan_loss(features: LossFeatures, targets: Tensor) -> Tensor:
    """NaN for a batch with a face of 70 years, as a quarter of the faces are."""
    wrong = torch.where(targets == 70, torch.nan, 0.0).sum()
    return (features.value - targets).abs().mean() + wrong


def test_nan_stops_and_saves_the_batch_that_caused_it(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "LOSSES", {**losses.LOSSES, "l1": _nan_loss})
    recipe = small.recipe(config={"dropout": 0.0})
    with pytest.raises(UsageError, match="loss became nan in epoch 1, step 1") as caught:
        small.train(recipe, split, tmp_path)
    assert "--set stages.0.rate" in caught.value.fix
    saved, header = (f(tmp_path / "nan-batch.safetensors") for f in (small.tensors, small.header))
    names = json.loads(header["faces"])
    assert len(names) == recipe.batch
    ages = {face.name: face.label.age for face in split.train}
    assert saved["target"].tolist() == [ages[name] for name in names]
    assert header["epoch"] == header["step"] == "1"

    network = registry.build(recipe.model, recipe.config)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in saved.items() if k.startswith("network.")}
    )
    features = objective.loss_features(network.train(), (saved["input.0"],))
    assert torch.isfinite(features.value).all()
    assert torch.isnan(_nan_loss(features, saved["target"].unsqueeze(1)))
    assert not (tmp_path / "state.safetensors").exists()


def test_a_nan_gradient_stops_before_the_weights_change(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rooted(features: LossFeatures, targets: Tensor) -> Tensor:
        # Finite, but the slope of the root at zero is not.
        return (features.value - features.value.detach()).abs().sqrt().sum() + 0 * targets.sum()

    monkeypatch.setattr(losses, "LOSSES", {**losses.LOSSES, "l1": rooted})
    recipe = small.recipe(parts=2)
    with pytest.raises(UsageError, match="gradient became nan in epoch 1, step 1"):
        small.train(recipe, split, tmp_path)
    saved = small.tensors(tmp_path / "nan-batch.safetensors")
    weights = [v for k, v in saved.items() if k.startswith("network.")]
    assert weights
    assert all(torch.isfinite(value).all() for value in weights)
    # The whole step: the sum of the gradients does not show which part of it was NaN.
    assert len(saved["target"]) == len(saved["input.0"]) == recipe.batch
    assert len(json.loads(small.header(tmp_path / "nan-batch.safetensors")["faces"])) == 8


def test_the_epochs_before_nan_are_kept(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def loss(features: LossFeatures, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return losses.l1(features, targets) * (torch.inf if calls == 4 else 1.0)

    monkeypatch.setattr(losses, "LOSSES", {**losses.LOSSES, "l1": loss})
    recipe = small.recipe(epochs=2, batch=14)
    with pytest.raises(UsageError, match=r"loss became (inf|nan) in epoch 2, step 2"):
        small.train(recipe, split, tmp_path)
    # The second run has no such loss, and ends as an uninterrupted one.
    small.train(recipe, split, tmp_path)
    small.train(recipe, split, tmp_path / "unbroken")
    small.assert_equal_trainings(tmp_path, tmp_path / "unbroken")


def test_a_full_disk_leaves_the_previous_state(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=3)
    small.train_until_killed(1, recipe, split, tmp_path)
    state = tmp_path / "state.safetensors"
    before = state.read_bytes()
    weights = (tmp_path / "last.safetensors").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses files of the state's size, and accepts those of the weights.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * weights, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"state\.safetensors"):
            small.train(recipe, split, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert state.read_bytes() == before
    assert not list(tmp_path.glob(".agecompact-*"))
    small.train(recipe, split, tmp_path)
    small.train(recipe, split, tmp_path / "unbroken")
    small.assert_equal_trainings(tmp_path, tmp_path / "unbroken")


def test_a_recipe_that_distils_needs_a_teacher(split: Split, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--teacher"):
        small.train(small.recipe(distillation=Distillation()), split, tmp_path)


def test_unreadable_faces_are_counted_and_no_face_at_all_is_refused(
    split: Split, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    bad = dataclasses.replace(split.train[0], name="broken.png", path=broken)
    some = dataclasses.replace(split, train=(*split.train, bad))
    _, trained = small.train(small.recipe(epochs=1), some, tmp_path / "some")
    assert trained.unreadable == 1
    with pytest.raises(UsageError, match="1 files are not images"):
        small.train(small.recipe(epochs=1), dataclasses.replace(split, train=(bad,)), tmp_path)


@pytest.mark.parametrize("parts", [1, 2])
def test_too_few_faces_for_batch_norm_are_refused(parts: int, split: Split, tmp_path: Path) -> None:
    few = dataclasses.replace(split, train=split.train[: 2 * parts - 1])
    with pytest.raises(UsageError, match=f"{2 * parts - 1} face"):
        small.train(small.recipe(epochs=1, parts=parts), few, tmp_path)


def test_chips_come_from_the_cache(split: Split, tmp_path: Path) -> None:
    recipe, cache = small.recipe(epochs=1), tmp_path / "cache"
    expected = small.train(recipe, split, tmp_path / "plain")[1]
    small.train(recipe, split, tmp_path / "first", cache=cache)
    assert list(cache.glob("chips-*.npy"))
    # Decoding again would return another picture.
    moved = []
    for face in split.train:
        path = tmp_path / face.name
        cv2.imwrite(str(path), np.zeros((200, 200, 3), np.uint8))
        moved.append(dataclasses.replace(face, path=path))
    elsewhere = dataclasses.replace(split, train=tuple(moved))
    second = small.train(recipe, elsewhere, tmp_path / "second", cache=cache)[1]
    assert second.history[0].loss == expected.history[0].loss


def test_a_watch_follows_every_step_and_epoch(split: Split, tmp_path: Path) -> None:
    steps: list[str] = []
    lines: list[str] = []
    reports: list[int] = []

    class Bar:
        def __init__(self, title: str, total: int) -> None:
            steps.append(f"{title} of {total}")

        def __enter__(self) -> Callable[[str], None]:
            return steps.append

        def __exit__(self, *_: object) -> None:
            pass

    watch = Watch(lines.append, Bar, lambda history: reports.append(len(history)))
    small.train(small.recipe(epochs=2, batch=14), split, tmp_path, watch=watch)
    assert [line.startswith("epoch ") for line in steps] == [True] * 6
    assert steps[0] == "epoch 1/2 of 2"
    # The progress shows the best MAE so far.
    assert "best validation MAE" in steps[4]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert reports == [1, 2]


def test_the_recipe_sets_the_norm_momentum(split: Split, tmp_path: Path) -> None:
    recipe = small.recipe(epochs=1, norm_momentum=0.25)
    network, _ = small.train(recipe, split, tmp_path)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.25}


def test_weights_are_in_channels_last(split: Split, tmp_path: Path) -> None:
    network, _ = small.train(small.recipe("ssrnet", epochs=1), split, tmp_path)
    kernels = [p for p in network.parameters() if p.ndim == 4 and p.shape[2] > 1]
    assert kernels
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)


def test_a_recipe_can_store_weights_in_float16(split: Split, tmp_path: Path) -> None:
    small.train(small.recipe(epochs=1, half=True), split, tmp_path)
    best, state = (small.tensors(tmp_path / f"{n}.safetensors") for n in ("best", "state"))
    assert {v.dtype for name, v in best.items() if "running_" not in name} == {torch.float16}
    assert {v.dtype for v in state.values()} == {torch.float32, torch.int64}
