"""The network that a training starts from: random, published, a teacher's or given weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.errors import BackendMissingError, UsageError, first_line
from agecompact.models import registry
from agecompact.models.trainable import AdaptsWeights, HasOutputStart, HasTrunk
from agecompact.training import faceres
from agecompact.training.feed import sized
from agecompact.training.recipe import Recipe
from agecompact.training.transplant import transplant
from agecompact.weights import checkpoints
from agecompact.weights.checkpoints import Weights
from agecompact.weights.fitting import Match, MisfitError, fit
from agecompact.weights.statedicts import Part, StateDict, read_state_dict

# In place of a path: ImageNet weights that torchvision downloads.
TORCHVISION = "torchvision"
TRANSPLANT_FACES = 384
# FaceRes's graph, in place of a state dict.
_GRAPH = ".json"

_FROM_SCRATCH = "start from random weights: --set start=scratch"


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

    @cached_property
    def published(self) -> StateDict:
        """The published state dict, read or downloaded once.

        Raises:
            UsageError: There is no such file, or it is not a state dict.
            BackendMissingError: torchvision cannot be imported, or cannot download.
        """
        assert self.backbone is not None
        return (
            _torchvision() if self.backbone == TORCHVISION else read_state_dict(Path(self.backbone))
        )

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """What a start from published weights unwraps, renames and leaves out, for people.

        Args:
            recipe: What `applied` returned, after a rehearsal.
        """
        network = registry.outline(recipe.model, recipe.config)
        from_graph = self.backbone is None or self.backbone.endswith(_GRAPH)
        if recipe.start != "backbone" or self.start or from_graph:
            return ()
        return _trunk(network, self.published).notes if isinstance(network, HasTrunk) else ()

    def applied(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with the configuration of the weights that it continues from.

        How far the network shrinks its inputs, and what it can adapt weights to, is the recipe's
        choice, if it makes one.

        Raises:
            UsageError: The recipe needs a teacher and none is given, or the reverse.
        """
        wants = bool(recipe.distillation) or (recipe.start == "teacher" and self.start is None)
        if wants:
            self.required_teacher()
        elif self.teacher:
            raise UsageError("the recipe uses no teacher", fix="leave out --teacher")
        if self.start is None:
            return recipe
        spec = registry.get(recipe.model)
        free = {spec.shrink, *spec.adaptable}
        chosen = {key: value for key, value in recipe.config.items() if key in free}
        return dataclasses.replace(recipe, config={**self.start.config, **chosen})

    def first_applied(self, recipes: Sequence[Recipe]) -> Recipe:
        """Returns the first recipe of a search that the weights fit, as `applied` does.

        Raises:
            UsageError: They fit none.
        """
        for recipe in recipes:
            try:
                return self.applied(recipe)
            except UsageError as error:
                refusal = error
        raise refusal

    def required_teacher(self) -> Weights:
        """Returns the teacher's weights.

        Raises:
            UsageError: None are given.
        """
        if self.teacher is None:
            raise UsageError("the recipe needs a teacher", fix="name its weights with --teacher")
        return self.teacher


def network_for(
    recipe: Recipe,
    *,
    mean: float,
    seed: int,
    chips: Sequence[Image] = (),
    sources: SourceWeights = SourceWeights(),
) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the network that a training begins with, and its origin as JSON values.

    Args:
        recipe: Which network, and how it starts.
        mean: Mean of the training labels, where untrained heads start.
        seed: Seed of random weights.
        chips: Some faces, uint8 HWC BGR, to fit a transplanted trunk or FaceRes's norms on;
            `TRANSPLANT_FACES` of the training part are enough.
        sources: Weights to start from.

    Raises:
        UsageError: The weights that the recipe starts from are not given or do not fit.
        BackendMissingError: torchvision cannot be imported, or cannot download.
    """
    torch.manual_seed(seed)
    if sources.start is not None:
        return _resumed(recipe, sources.start)
    network = registry.build(recipe.model, recipe.config)
    if isinstance(network, HasOutputStart):
        network.initialise_output(mean)
    if recipe.start == "backbone":
        return network, {"backbone": _fill_from_backbone(network, recipe, chips, sources)}
    if recipe.start == "teacher":
        return network, {"transplanted": _fill_from_teacher(network, recipe, chips, sources)}
    return network, {}


def _resumed(recipe: Recipe, start: Weights) -> tuple[nn.Module, dict[str, Any]]:
    if start.model_id != recipe.model:
        raise UsageError(
            f"{start.path} holds '{start.model_id}', not '{recipe.model}'",
            fix="name weights of the recipe's model with --start",
        )
    network = registry.outline(recipe.model, recipe.config)
    state = network.adapted(start.state) if isinstance(network, AdaptsWeights) else start.state
    chosen = dataclasses.replace(start, config=recipe.config, state=state)
    return chosen.network(), {"start": start.sha256}


def _fill_from_backbone(
    network: nn.Module, recipe: Recipe, chips: Sequence[Image], sources: SourceWeights
) -> str:
    """Fills the trunk from published weights, in place, and returns their hash or address."""
    backbone = sources.backbone
    if backbone is None:
        raise UsageError(
            "the recipe starts from published weights",
            fix=f"name them with --backbone FILE, or ImageNet's with --backbone {TORCHVISION}",
        )
    if backbone.endswith(_GRAPH):
        contract = sized(recipe.contract, recipe.stages[0].side)
        return faceres.fill(network, Path(backbone), batches.inputs(contract, chips)[0])
    if not isinstance(network, HasTrunk):
        raise UsageError(
            f"cannot fill the trunk of {type(network).__name__} from {backbone}",
            why="the network does not name it (agecompact.models.trainable.HasTrunk)",
            fix=_FROM_SCRATCH,
        )
    trunk = _trunk(network, sources.published)
    network.load_state_dict(dict(trunk.tensors), strict=False)
    return sources.published.sha256


def _fill_from_teacher(
    network: nn.Module, recipe: Recipe, chips: Sequence[Image], sources: SourceWeights
) -> str:
    """Fills the trunk from the teacher's, in place, and returns the teacher's hash."""
    teacher = sources.required_teacher()
    side = recipe.stages[0].side
    contracts = (recipe.contract, teacher.contract)
    seen, seen_by_teacher = (batches.inputs(sized(c, side), chips)[0] for c in contracts)
    transplant(teacher.network(), network, seen, seen_by_teacher)
    return teacher.sha256


def _trunk(network: HasTrunk, published: StateDict) -> Match:
    """Finds a network's trunk in a classifier's state dict, without its classes.

    Raises:
        UsageError: The tensors are not those of the network's trunk, or not usable.
    """
    assert isinstance(network, nn.Module)
    name = f"the trunk of {type(network).__name__}"
    try:
        return fit(published, network, name=name, heads=network.heads())
    except MisfitError as error:
        fix = f"name published weights of this network with --backbone, or {_FROM_SCRATCH}"
        raise MisfitError(error.what, why=error.why, fix=fix) from None


def _torchvision() -> StateDict:
    """Downloads torchvision's ImageNet weights of MobileNetV3-Large; their hash is their URL.

    Raises:
        BackendMissingError: torchvision cannot be imported, or cannot download.
    """
    try:
        from torchvision.models import MobileNet_V3_Large_Weights as Published

        weights = Published.IMAGENET1K_V2
        state = dict(weights.get_state_dict(progress=False))
        return StateDict(Path(TORCHVISION), str(weights.url), (Part((), state),))
    # A torchvision of another torch build fails at import with a RuntimeError.
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendMissingError(
            "torchvision's weights are unavailable",
            why=first_line(error),
            fix="name a downloaded mobilenet_v3_large-*.pth with --backbone, or distil: "
            "--recipe mobileagenet-distilled --teacher FILE",
        ) from None
