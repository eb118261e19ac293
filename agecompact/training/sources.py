"""Weights files that a training starts from or learns from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agecompact.errors import UsageError
from agecompact.training.recipe import Recipe
from agecompact.weights import checkpoints

if TYPE_CHECKING:
    from agecompact.weights.checkpoints import Weights

# In place of a path: ImageNet weights that torchvision downloads.
TORCHVISION = "torchvision"


@dataclass(frozen=True)
class SourceWeights:
    """Weights files that a training starts from or learns from.

    Attributes:
        start: Weights to continue from, whatever start the recipe names.
        teacher: Weights to learn from, or to start from.
        backbone: Published weights, ImageNet's or FaceRes's: a path, or `TORCHVISION`.
    """

    start: Weights | None = None
    teacher: Weights | None = None
    backbone: str | None = None

    @classmethod
    def read(cls, start: Path | None, teacher: Path | None, backbone: str | None) -> SourceWeights:
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
        """Returns the recipe with the configuration of the weights that it continues from.

        Raises:
            UsageError: The recipe needs a teacher and none is given, or the reverse.
        """
        wants = bool(recipe.distillation) or (recipe.start == "teacher" and self.start is None)
        if wants:
            self.required_teacher()
        elif self.teacher:
            raise UsageError("the recipe uses no teacher", fix="leave out --teacher")
        return dataclasses.replace(recipe, config=self.start.config) if self.start else recipe

    def required_teacher(self) -> Weights:
        """Returns the teacher's weights.

        Raises:
            UsageError: None are given.
        """
        if self.teacher is None:
            raise UsageError("the recipe needs a teacher", fix="name its weights with --teacher")
        return self.teacher
