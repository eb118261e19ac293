"""A whole training: its first network, its teacher, and the loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.data import batches
from agecompact.data.splits import Split
from agecompact.evaluation.evaluate import labels, target_of_contract
from agecompact.models import registry
from agecompact.training import loop
from agecompact.training.history import TrainingResult
from agecompact.training.recipe import Recipe
from agecompact.training.start import TRANSPLANT_FACES, SourceWeights, network_for
from agecompact.training.teacher import teacher_of
from agecompact.training.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    recipe: Recipe,
    split: Split,
    out: Path,
    fabric: Fabric,
    *,
    sources: SourceWeights,
    watch: Watch,
    seed: int,
    workers: int,
    cache: Path | None,
) -> tuple[TrainingResult, dict[str, Any]]:
    """Trains a recipe's network in `out`; returns the result, and the start as JSON values.

    Args:
        recipe: The recipe, as `sources.applied` returns it.
        split: The faces.
        out: Output folder.
        fabric: Where to compute, launched.
        sources: Weights to start from or learn from.
        watch: How the training is followed.
        seed: Seed of random weights, the order of faces, augmentation and dropout.
        workers: Processes that prepare batches.
        cache: Folder of decoded chips.

    Raises:
        AgecompactError: As `start.network_for` and `loop.train` raise it.
    """
    contract = registry.get(recipe.model).contract
    stride = math.ceil(len(split.train) / TRANSPLANT_FACES)
    sample = batches.load(split.train[::stride], cache).images if recipe.start != "scratch" else ()
    network, origin = network_for(
        recipe,
        mean=float(labels(split.train, target_of_contract(contract)).mean()),
        seed=seed,
        chips=sample,
        sources=sources,
    )
    result = loop.train(
        network,
        recipe,
        split,
        out,
        fabric,
        watch=watch,
        teacher=teacher_of(sources.teacher) if sources.teacher and recipe.distillation else None,
        origin=origin,
        seed=seed,
        workers=workers,
        cache=cache,
    )
    return result, origin
