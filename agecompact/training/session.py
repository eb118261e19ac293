"""A whole training: its first network, its teacher and the loop. A rehearsal runs on noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from agecompact.data import batches
from agecompact.evaluation.evaluate import labels, target_of_contract
from agecompact.faces.framing import CHIP_SIDE
from agecompact.training import loop
from agecompact.training.feed import sized
from agecompact.training.hints import Hints
from agecompact.training.history import TrainingResult
from agecompact.training.objective import Objective
from agecompact.training.recipe import Recipe
from agecompact.training.run import Run
from agecompact.training.start import TRANSPLANT_FACES, SourceWeights, network_for
from agecompact.training.teacher import teacher_of

_REHEARSED = 4


def rehearse(recipe: Recipe, sources: SourceWeights) -> None:
    """Starts a training on a few images of noise and computes its loss once.

    Weights that do not fit, and layers that do not exist, are refused here in seconds, before
    anything reads the data.

    Args:
        recipe: What `sources.applied` returned.
        sources: Weights to start from or learn from.

    Raises:
        AgecompactError: As `start.network_for`, `loop.check_stages` and `Objective` raise it.
    """
    contract = recipe.contract
    noise = np.random.default_rng(0).integers(0, 256, (_REHEARSED, CHIP_SIDE, CHIP_SIDE, 3))
    chips = list(noise.astype(np.uint8))
    network, _ = network_for(recipe, mean=0.0, seed=0, chips=chips, sources=sources)
    loop.check_stages(network, recipe)
    weight = max(stage.hints for stage in recipe.stages)
    hints = None
    if sources.teacher and weight:
        hints = Hints(network, contract, teacher_of(sources.teacher))
    objective = Objective(network, recipe, hints)
    objective.hint_weight = weight
    inputs = batches.inputs(sized(contract, recipe.stages[0].side), chips)
    with torch.no_grad():
        objective(inputs, torch.zeros(_REHEARSED, 1), None)


def train(run: Run, sources: SourceWeights) -> tuple[TrainingResult, dict[str, Any]]:
    """Trains a recipe's network; returns the result, and the start as JSON values.

    Args:
        run: The training, with the recipe that `sources.applied` returned.
        sources: Weights to start from or learn from.

    Raises:
        AgecompactError: As `start.network_for` and `loop.train` raise it.
    """
    recipe, faces = run.recipe, run.split.train
    stride = math.ceil(len(faces) / TRANSPLANT_FACES)
    sample = batches.load(faces[::stride], run.cache).images if recipe.start != "scratch" else ()
    network, origin = network_for(
        recipe,
        mean=float(labels(faces, target_of_contract(run.contract)).mean()),
        seed=run.seed,
        chips=sample,
        sources=sources,
    )
    teacher = teacher_of(sources.teacher) if sources.teacher and recipe.distillation else None
    return loop.train(network, run, teacher=teacher, origin=origin), origin
