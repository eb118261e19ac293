"""Trainings small enough to run in a second: few faces, few steps, the recipes' own code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from torch import Tensor, nn

from agecompact.contract import Contract
from agecompact.data import splits
from agecompact.data.face import Face, Label
from agecompact.data.splits import Split
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.training import devices, loop, start
from agecompact.training import recipe as recipes
from agecompact.training.history import Epoch, TrainingResult
from agecompact.training.recipe import Recipe
from agecompact.training.run import Run
from agecompact.training.teacher import Teacher
from agecompact.training.watch import QUIET, Watch

SIDE = 32
EPOCHS = 4

# A recipe's own sides and lengths would take minutes.
_SHORT = {"epochs": EPOCHS, "batch": 8, "precision": "32-true", "distillation": None}
_RECIPES = {"c3ae": "c3ae-study1", "mobileagenet": "mobileagenet-distilled"}


def split(folder: Path) -> Split:
    """28 faces to train on, 4 to validate on and 8 to test on, of all ages and both genders.

    The brightness of a chip encodes the age, and its tint the gender.
    """
    random = np.random.default_rng(0)
    made = []
    for i in range(40):
        age, gender = 10 + 20 * (i % 4), (i // 4 + i) % 2
        chip = random.integers(0, 40, (200, 200, 3)) + 2 * age
        chip[:, :, 0] += 40 * gender
        path = folder / f"{i:03}.png"
        cv2.imwrite(str(path), chip.astype(np.uint8))
        made.append(Face(path.name, path, sha256_of(path), Label(age, gender)))
    return splits.of_parts({"train": made[:28], "val": made[28:32], "test": made[32:]})


def recipe(model_id: str = "c3ae-plain", **changes: Any) -> Recipe:
    """The model's recipe, shortened; all its stages on small images, if the network allows."""
    full = recipes.load(_RECIPES.get(model_id, model_id))
    stages = changes.pop("stages", full.stages)
    if model_id in ("mobileagenet", *registry.TEACHERS):
        stages = tuple(dataclasses.replace(s, side=SIDE, hints=s.hints) for s in stages)
    if "distillation" not in changes:
        stages = tuple(dataclasses.replace(s, hints=0.0) for s in stages)
    return dataclasses.replace(full, **{**_SHORT, "stages": stages, "start": "scratch", **changes})


def fabric(precision: str = "32-true") -> Fabric:
    return devices.fabric("cpu", precision)


def fresh(chosen: Recipe, seed: int = 0) -> nn.Module:
    """The network that a training begins with."""
    return start.network_for(chosen, mean=40.0, seed=seed)[0]


def train(
    chosen: Recipe,
    parted: Split,
    out: Path,
    *,
    seed: int = 0,
    watch: Watch = QUIET,
    cache: Path | None = None,
    **options: Any,
) -> tuple[nn.Module, TrainingResult]:
    network = fresh(chosen, seed)
    run = Run(chosen, parted, out, fabric(chosen.precision), seed, watch=watch, cache=cache)
    return network, loop.train(network, run, **options)


def without_seconds(history: Sequence[Epoch]) -> list[Epoch]:
    return [dataclasses.replace(epoch, seconds=0.0) for epoch in history]


class KilledError(Exception):
    """Ends a training as if it were killed."""


def train_until_killed(epochs: int, *arguments: Any, **options: Any) -> None:
    """Trains, and kills the training after it has stored an epoch."""

    def report(history: Sequence[Epoch]) -> None:
        if len(history) == epochs:
            raise KilledError

    with pytest.raises(KilledError):
        train(*arguments, **options, watch=dataclasses.replace(QUIET, report=report))


def tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as stream:
        return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118


def header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as stream:
        return cast(dict[str, str], stream.metadata())


def assert_equal_trainings(first: Path, second: Path) -> None:
    """Asserts that two output folders hold the same state and weights, bit for bit."""
    for name in ("state", "best", "last"):
        assert_equal_files(*(folder / f"{name}.safetensors" for folder in (first, second)))


def assert_equal_files(first: Path, second: Path) -> None:
    """Asserts that two files hold the same tensors, bit for bit."""
    left, right = tensors(first), tensors(second)
    assert left.keys() == right.keys()
    unlike = [name for name in left if not torch.equal(left[name], right[name])]
    assert not unlike


def teacher(model_id: str = "c3ae-plain", seed: int = 5) -> Teacher:
    """A teacher of random weights, whose predictions vary over faces."""
    torch.manual_seed(seed)
    network = registry.build(model_id).eval().requires_grad_(False)
    return Teacher(network, contract(model_id), f"{seed:064x}")


def contract(model_id: str) -> Contract:
    """A model's contract, at the side that these trainings run at."""
    own = registry.get(model_id).contract
    return own if own.height == 64 else dataclasses.replace(own, height=SIDE, width=SIDE)
