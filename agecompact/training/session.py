"""A whole training: its first network, its teacher, and the loop."""

from __future__ import annotations

import math
from typing import Any

from agecompact.data import batches
from agecompact.evaluation.evaluate import labels, target_of_contract
from agecompact.training import loop
from agecompact.training.history import TrainingResult
from agecompact.training.run import Run
from agecompact.training.start import TRANSPLANT_FACES, SourceWeights, network_for
from agecompact.training.teacher import teacher_of


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
