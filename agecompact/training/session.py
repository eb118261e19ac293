"""A training with all that belongs to it: the weights it is given, its first network, the loop."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.data import batches
from agecompact.data.splits import Split
from agecompact.errors import UsageError
from agecompact.evaluation.evaluate import labels, target_of_contract
from agecompact.models import registry
from agecompact.training import loop
from agecompact.training.distillation import teacher_of
from agecompact.training.history import Trained
from agecompact.training.recipe import Recipe
from agecompact.training.start import TRANSPLANT_FACES, network_for
from agecompact.training.watch import Watch
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from agecompact.weights.checkpoints import Weights


@dataclass(frozen=True)
class Given:
    """Weights that a training is given.

    Attributes:
        start: To go on from, in place of what the recipe says.
        teacher: To learn from, or to start from.
        backbone: Published: a path, or `start.TORCHVISION`.
    """

    start: Weights | None = None
    teacher: Weights | None = None
    backbone: str | None = None

    @classmethod
    def read(cls, start: Path | None, teacher: Path | None, backbone: str | None) -> Given:
        """Reads weights files.

        Raises:
            UsageError: A file is missing or holds no weights.
        """
        return cls(
            start=checkpoints.read(start) if start else None,
            teacher=checkpoints.read(teacher) if teacher else None,
            backbone=backbone,
        )

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe with the configuration of the weights that it goes on from.

        Raises:
            UsageError: It needs a teacher that is not given, or none of the one that is.
        """
        wants = bool(recipe.distillation) or (recipe.start == "teacher" and self.start is None)
        if wants and self.teacher is None:
            raise UsageError(
                "the recipe learns from a teacher", fix="name its weights file with --teacher"
            )
        if self.teacher and not wants:
            raise UsageError("the recipe learns from no teacher", fix="leave out --teacher")
        return dataclasses.replace(recipe, config=self.start.config) if self.start else recipe


def train(
    recipe: Recipe,
    split: Split,
    out: Path,
    fabric: Fabric,
    *,
    given: Given,
    watch: Watch,
    seed: int,
    workers: int,
    cache: Path | None,
) -> tuple[Trained, dict[str, Any]]:
    """Trains a recipe's network in `out`, and says where it started, as JSON values.

    Args:
        recipe: How, as `given.applied` returns it.
        split: The faces.
        out: A folder.
        fabric: Where to compute, launched.
        given: Weights that take part.
        watch: How the training is followed.
        seed: Of random weights, the order of faces, augmentation and dropout.
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
        start=given.start,
        teacher=given.teacher,
        backbone=given.backbone,
    )
    trained = loop.train(
        network,
        recipe,
        split,
        out,
        fabric,
        watch=watch,
        teacher=teacher_of(given.teacher) if given.teacher and recipe.distillation else None,
        origin=origin,
        seed=seed,
        workers=workers,
        cache=cache,
    )
    return trained, origin
