"""The training loop, on Lightning Fabric: one process or many, on a CPU or GPUs.

A training that is killed resumes after its last complete epoch, and ends as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import labels, measure, target_of_contract
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
from agecompact.training.run import Run
from agecompact.training.teacher import Teacher, TeacherTargets


def train(
    network: nn.Module,
    run: Run,
    *,
    teacher: Teacher | None = None,
    origin: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Trains a network and stores its state after each epoch.

    Leaves in `run.out`: `best.safetensors` and `last.safetensors`, weights with short cards, and
    `state.safetensors`, from which another call resumes.

    Args:
        network: The network to start from; it is changed.
        run: The training.
        teacher: The teacher, if the recipe distils.
        origin: What the network started from, as JSON values; a state with another is refused.

    Raises:
        DivergedError: The loss or its gradient became NaN or Inf (the batch is saved).
        UsageError: The state is another training's, the training part has no image or too few, or
            the recipe lacks its teacher or names layers that do not exist.
        OutputError: A file cannot be written.
    """
    recipe, contract, device = run.recipe, run.contract, run.fabric.device
    chips = batches.load(run.split.train, run.cache)
    # Each process takes the same number of parts.
    parts = math.ceil(recipe.parts / run.fabric.world_size) * run.fabric.world_size
    _check(network, recipe, chips, parts, teacher)
    if recipe.norm_momentum:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.norm_momentum
    _place(network, device)
    # Before the next line: a copy of the changed layers would still call the originals.
    average = _average(network, recipe)
    if recipe.precision != "32-true":
        keep_float32(network, device)
    hints = None
    if teacher and any(stage.hints for stage in recipe.stages):
        _place(teacher.network, device)
        hints = Hints(network, contract, teacher)
    teacher_targets = None
    if teacher and recipe.distillation:
        teacher_targets = TeacherTargets(run, teacher, chips, recipe.distillation.views)
    identity = {
        "origin": dict(origin or {}),
        "teacher": teacher.sha256 if teacher else None,
        "seed": run.seed,
        "split": run.split.sha256,
        "recipe": asdict(recipe),
    }
    trainer = EpochTrainer(
        run=run,
        chips=chips,
        targets=np.clip(labels(chips.faces, target_of_contract(contract)), *recipe.labels),
        objective=Objective(network, recipe, hints),
        average=average,
        teacher_targets=teacher_targets,
        parts=parts,
    )
    return _train_epochs(trainer, Checkpoints(run.out, recipe, identity))


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
    check_stages(network, recipe)


def check_stages(network: nn.Module, recipe: Recipe) -> None:
    """Checks the stages of a recipe against the network's parameters.

    Raises:
        UsageError: A stage names a parameter that does not exist, or freezes all of them.
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix in (p for stage in recipe.stages for p in (*stage.frozen, *stage.rates)):
        if not any(begins(name, [prefix]) for name in names):
            raise UsageError(
                f"'{recipe.model}' has no '{prefix}'",
                why="a stage of the recipe freezes it, or sets its learning rate",
                fix="use prefixes of parameter names in the stages' frozen and rates",
            )
    for stage in recipe.stages:
        if all(begins(name, stage.frozen) for name in names):
            raise UsageError(
                "nothing is left to learn",
                why="a stage of the recipe freezes every parameter",
                fix="remove a prefix from the stage's 'frozen'",
            )


def _place(network: nn.Module, device: torch.device) -> None:
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _average(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    if not recipe.ema:
        return None
    decay = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=decay, use_buffers=True)


def _train_epochs(trainer: EpochTrainer, checkpoints: Checkpoints) -> TrainingResult:
    """Trains all epochs that are still missing."""
    run, network, average = trainer.run, trainer.network, trainer.average
    recipe, fabric, watch, unit = (
        run.recipe,
        run.fabric,
        run.watch,
        run.contract.only_output("training").unit,
    )
    selection = Selection(recipe, unit)
    restored = checkpoints.restore(network, average)
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
        torch.manual_seed((run.seed * 1_000 + epoch) * 1_000 + fabric.global_rank)
        errors = validation_errors(history[first:], unit)
        loss, rate = trainer.train(objective, optimiser, epoch, errors, selection.note(history))
        val = 0.0
        if fabric.is_global_zero:
            # At the size of the stage: trained on small images, a network fails on larger ones.
            contract = sized(run.contract, stage.side)
            val = measure(trainer.kept_network, contract, run.split.val).headline.value
        val = float(fabric.broadcast(val))
        history.append(Epoch(loss, val, rate, time.perf_counter() - started))
        if fabric.is_global_zero:
            best = selection.best(history) == len(history)
            checkpoints.save(network, average, optimiser, history, best=best)
        fabric.barrier()
        watch.say(_line(history, recipe.epochs, unit))
        watch.report(history)
    return TrainingResult(tuple(history), selection.best(history), trainer.chips.unreadable)


def _line(history: Sequence[Epoch], epochs: int, unit: str) -> str:
    last = history[-1]
    minutes = last.seconds * (epochs - len(history)) / 60
    return (
        f"epoch {len(history)}/{epochs}: loss {last.loss:.4f}, validation "
        f"{validation_text(last.val, unit)}, rate {last.rate:.2g}, {last.seconds:.0f} s, "
        f"about {minutes:.0f} min to go"
    )
