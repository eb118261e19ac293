"""The training loop, on Lightning Fabric: one process or many, on a CPU or GPUs.

A training that is killed resumes after its last complete epoch, and ends as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from agecompact.contract import Contract, Unit
from agecompact.data import batches
from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import labels, measure, target_of_contract
from agecompact.models import registry
from agecompact.training.checkpointing import Checkpoints
from agecompact.training.epoch import EpochTrainer, begins
from agecompact.training.feed import sized
from agecompact.training.hints import Hints
from agecompact.training.history import (
    Epoch,
    Selection,
    TrainingResult,
    validation_errors,
    validation_text,
)
from agecompact.training.objective import Objective
from agecompact.training.precision import keep_float32
from agecompact.training.recipe import Recipe
from agecompact.training.teacher import Teacher, TeacherTargets
from agecompact.training.watch import QUIET, Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SEED = 42


def train(
    network: nn.Module,
    recipe: Recipe,
    split: Split,
    out: Path,
    fabric: Fabric,
    *,
    watch: Watch = QUIET,
    teacher: Teacher | None = None,
    origin: Mapping[str, Any] | None = None,
    seed: int = SEED,
    workers: int = 0,
    cache: Path | None = None,
) -> TrainingResult:
    """Trains a network and stores its state after each epoch.

    Leaves in `out`: `best.safetensors` and `last.safetensors`, weights with short cards, and
    `state.safetensors`, from which another call resumes.

    Args:
        network: The network to start from; it is changed.
        recipe: The recipe; its `epochs` are the training's length.
        split: The faces.
        out: Output folder.
        fabric: Where to compute, launched.
        watch: How the training is followed.
        teacher: The teacher, if the recipe distils.
        origin: What the network started from, as JSON values; a state with another is refused.
        seed: Seed of the order of faces, augmentation and dropout.
        workers: Processes that prepare batches.
        cache: Folder of decoded chips.

    Raises:
        DivergedError: The loss or its gradient became NaN or Inf (the batch is saved).
        UsageError: The state is another training's, the training part has no image or too few, or
            the recipe lacks its teacher or names layers that do not exist.
        OutputError: A file cannot be written.
    """
    contract = registry.get(recipe.model).contract
    chips = batches.load(split.train, cache)
    # Each process takes the same number of parts.
    parts = math.ceil(recipe.parts / fabric.world_size) * fabric.world_size
    _check(network, recipe, chips, parts, teacher)
    if recipe.norm_momentum:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.norm_momentum
    _place(network, fabric.device)
    # Before the next line: a copy of the changed layers would still call the originals.
    average = _average(network, recipe)
    if recipe.precision != "32-true":
        keep_float32(network, fabric.device)
    hints = None
    if teacher and any(stage.hints for stage in recipe.stages):
        _place(teacher.network, fabric.device)
        hints = Hints(network, contract, teacher)
    teacher_targets = None
    if teacher and recipe.distillation:
        teacher_targets = TeacherTargets(
            teacher=teacher,
            chips=chips,
            contract=contract,
            view_count=recipe.distillation.views,
            split_sha256=split.sha256,
            seed=seed,
            folder=out,
            fabric=fabric,
            watch=watch,
        )
    identity = {
        "origin": dict(origin or {}),
        "teacher": teacher.sha256 if teacher else None,
        "seed": seed,
        "split": split.sha256,
        "recipe": asdict(recipe),
    }
    trainer = EpochTrainer(
        fabric=fabric,
        recipe=recipe,
        contract=contract,
        chips=chips,
        targets=np.clip(labels(chips.faces, target_of_contract(contract)), *recipe.labels),
        objective=Objective(network, recipe, hints),
        average=average,
        teacher_targets=teacher_targets,
        folder=out,
        watch=watch,
        seed=seed,
        workers=workers,
        parts=parts,
    )
    checkpoints = Checkpoints(out, recipe, identity)
    return _run(trainer, checkpoints, Selection(recipe, contract.output.unit), split)


def _check(
    network: nn.Module, recipe: Recipe, chips: batches.Chips, parts: int, teacher: Teacher | None
) -> None:
    """Checks a training before it begins.

    Raises:
        UsageError: There are too few faces, no teacher, or no parameters that a stage names.
    """
    if not len(chips):
        raise UsageError(
            "no face to train on",
            why=f"{chips.unreadable} files are not images",
            fix="name a folder with images of faces",
        )
    if recipe.distillation and teacher is None:
        raise UsageError("the recipe needs a teacher", fix="name its weights with --teacher")
    faces = min(recipe.batch, len(chips))
    if faces < 2 * parts:
        raise UsageError(
            f"steps of {faces} faces are too small",
            why=f"batch norm needs 2 faces in each of a step's {parts} parts",
            fix="train on more faces, or in fewer parts or processes",
        )
    names = [name for name, _ in network.named_parameters()]
    for prefix in (p for stage in recipe.stages for p in (*stage.frozen, *stage.rates)):
        if not any(begins(name, [prefix]) for name in names):
            raise UsageError(
                f"'{recipe.model}' has no '{prefix}'",
                why="a stage of the recipe freezes it, or sets its learning rate",
                fix="use prefixes of parameter names in the stages' frozen and rates",
            )


def _place(network: nn.Module, device: torch.device) -> None:
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _average(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    if not recipe.ema:
        return None
    decay = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=decay, use_buffers=True)


def _run(
    trainer: EpochTrainer, checkpoints: Checkpoints, selection: Selection, split: Split
) -> TrainingResult:
    """Trains all epochs that are still missing."""
    recipe, fabric, watch = trainer.recipe, trainer.fabric, trainer.watch
    restored = checkpoints.restore(trainer.network, trainer.average)
    history = list(restored.history)
    if history:
        watch.say(f"resuming after epoch {len(history)}")
        # The training may have been killed after it stored an epoch and before it reported it.
        watch.report(history)
    objective = optimiser = None
    entered = -1
    while len(history) < recipe.epochs and not selection.stops_early(history):
        epoch = len(history)
        index, first, _ = recipe.stage_at(epoch)
        stage = recipe.stages[index]
        if index != entered:
            objective, optimiser = trainer.set_up(stage)
            if epoch > first and epoch == len(restored.history):
                restored.load_moments(optimiser)
            entered = index
        started = time.perf_counter()
        # Each epoch has its own seed, so that a resumed training repeats an uninterrupted one.
        torch.manual_seed((trainer.seed * 1_000 + epoch) * 1_000 + fabric.global_rank)
        errors = validation_errors(history[first:], selection.unit)
        loss, rate = trainer.train(objective, optimiser, epoch, errors, selection.note(history))
        # At the size of the stage: trained on small images, a network fails on larger ones.
        val = _validation(trainer, sized(trainer.contract, stage.side), split)
        history.append(Epoch(loss, val, rate, time.perf_counter() - started))
        if fabric.is_global_zero:
            best = selection.best(history) == len(history)
            checkpoints.save(trainer.network, trainer.average, optimiser, history, best=best)
        fabric.barrier()
        watch.say(_line(history, recipe.epochs, selection.unit))
        watch.report(history)
    return TrainingResult(tuple(history), selection.best(history), trainer.chips.unreadable)


def _validation(trainer: EpochTrainer, contract: Contract, split: Split) -> float:
    """Returns the MAE or accuracy of the kept weights, the same on all processes."""
    value = 0.0
    if trainer.fabric.is_global_zero:
        metrics = measure(trainer.kept_network, contract, split.val)
        value = metrics.headline.value
    return float(trainer.fabric.broadcast(value))


def _line(history: Sequence[Epoch], epochs: int, unit: Unit) -> str:
    last = history[-1]
    minutes = last.seconds * (epochs - len(history)) / 60
    return (
        f"epoch {len(history)}/{epochs}: loss {last.loss:.4f}, validation "
        f"{validation_text(last.val, unit)}, rate {last.rate:.2g}, {last.seconds:.0f} s, "
        f"about {minutes:.0f} min to go"
    )
