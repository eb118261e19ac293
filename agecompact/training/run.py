"""What a training needs besides its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agecompact.contract import Contract
from agecompact.data.splits import Split
from agecompact.training.recipe import Recipe
from agecompact.training.watch import QUIET, Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Run:
    """A training to carry out.

    Attributes:
        recipe: The recipe; its `epochs` are the training's length.
        split: The faces.
        out: Output folder.
        fabric: Where to compute, launched.
        seed: Seed of random weights, the order of faces, augmentation and dropout.
        watch: How the training is followed.
        workers: Processes that prepare batches.
        cache: Folder of decoded chips, or None to decode them each time.
    """

    recipe: Recipe
    split: Split
    out: Path
    fabric: Fabric
    seed: int
    watch: Watch = QUIET
    workers: int = 0
    cache: Path | None = None

    @property
    def contract(self) -> Contract:
        """How images become the network's inputs."""
        return self.recipe.contract
