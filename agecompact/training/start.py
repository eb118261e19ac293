"""The network that a training starts from: random, published, a teacher's or given weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.errors import BackendMissingError, UsageError, first_line
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.models.trainable import HasOutputStart, HasTrunk, Heads
from agecompact.training import faceres
from agecompact.training.feed import sized
from agecompact.training.recipe import Recipe
from agecompact.training.transplant import transplant
from agecompact.weights import checkpoints
from agecompact.weights.checkpoints import Weights

# In place of a path: ImageNet weights that torchvision downloads.
TORCHVISION = "torchvision"
TRANSPLANT_FACES = 384

_COUNTER = "num_batches_tracked"
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
        return network, {"backbone": _fill_from_backbone(network, recipe, chips, sources.backbone)}
    if recipe.start == "teacher":
        return network, {"transplanted": _fill_from_teacher(network, recipe, chips, sources)}
    return network, {}


def _resumed(recipe: Recipe, start: Weights) -> tuple[nn.Module, dict[str, Any]]:
    if start.model_id != recipe.model:
        raise UsageError(
            f"{start.path} holds '{start.model_id}', not '{recipe.model}'",
            fix="name weights of the recipe's model with --start",
        )
    return start.network(), {"start": start.sha256}


def _fill_from_backbone(
    network: nn.Module, recipe: Recipe, chips: Sequence[Image], backbone: str | None
) -> str:
    """Fills the trunk from published weights, in place, and returns their hash or address."""
    if backbone is None:
        raise UsageError(
            "the recipe starts from published weights",
            fix=f"name them with --backbone FILE, or ImageNet's with --backbone {TORCHVISION}",
        )
    if backbone.endswith(".json"):
        contract = sized(registry.get(recipe.model).contract, recipe.stages[0].side)
        return faceres.fill(network, Path(backbone), batches.inputs(contract, chips)[0])
    if not isinstance(network, HasTrunk):
        raise UsageError(
            f"cannot fill the trunk of {type(network).__name__} from {backbone}",
            why="the network does not name it (agecompact.models.trainable.HasTrunk)",
            fix=_FROM_SCRATCH,
        )
    state, origin = _torchvision() if backbone == TORCHVISION else _state_dict(Path(backbone))
    _fill_trunk(network, network.heads(), state, backbone)
    return origin


def _fill_from_teacher(
    network: nn.Module, recipe: Recipe, chips: Sequence[Image], sources: SourceWeights
) -> str:
    """Fills the trunk from the teacher's, in place, and returns the teacher's hash."""
    teacher = sources.required_teacher()
    side = recipe.stages[0].side
    contracts = (registry.get(recipe.model).contract, teacher.contract)
    seen, seen_by_teacher = (batches.inputs(sized(c, side), chips)[0] for c in contracts)
    transplant(teacher.network(), network, seen, seen_by_teacher)
    return teacher.sha256


def _fill_trunk(network: nn.Module, heads: Heads, state: dict[str, Tensor], name: str) -> None:
    """Fills a network from a classifier's state dict, without its classes, in place.

    Raises:
        UsageError: The tensors are not those of the network's trunk.
    """
    own = network.state_dict()
    # BN's counters are missing in older state dicts, and nothing depends on them.
    trunk = {k: v for k, v in state.items() if not k.startswith(heads.published)}
    trunk = {k: v for k, v in trunk.items() if not k.endswith(_COUNTER)}
    wanted = {k for k in own if not k.startswith(heads.own) and not k.endswith(_COUNTER)}
    missing = sorted(wanted - trunk.keys())
    surplus = sorted(trunk.keys() - wanted)
    unlike = sorted(k for k in wanted & trunk.keys() if trunk[k].shape != own[k].shape)
    if missing or surplus or unlike:
        raise UsageError(
            f"{name} is not a backbone of {type(network).__name__}",
            why=f"{len(missing)} tensors missing, {len(surplus)} too many, {len(unlike)} of "
            f"another shape: {', '.join((missing + surplus + unlike)[:3])}",
            fix=f"name published weights of this network with --backbone, or {_FROM_SCRATCH}",
        )
    for key in sorted(wanted):
        if not torch.isfinite(trunk[key]).all():
            raise UsageError(
                f"{name} is broken", why=f"'{key}' holds NaN or Inf", fix="download it again"
            )
    network.load_state_dict(trunk, strict=False)


def _state_dict(path: Path) -> tuple[dict[str, Tensor], str]:
    """Reads a state dict and its hash, safetensors or torch's; only tensors are unpickled.

    Raises:
        UsageError: The file is missing or holds anything but tensors.
    """
    if not path.is_file():
        raise UsageError(f"no weights at {path}", fix="name an existing file with --backbone")
    what, fix = f"{path} is not a state dict", "name a file of tensors, .safetensors or .pth"
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises whatever the archive, the unpickler or the storage runs into.
        why = first_line(error)
        raise UsageError(what, why=why, fix=fix) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(what, why="it holds something other than tensors", fix=fix)
    return dict(state), sha256_of(path)


def _torchvision() -> tuple[dict[str, Tensor], str]:
    """Downloads torchvision's ImageNet weights of MobileNetV3-Large; returns them and their URL.

    Raises:
        BackendMissingError: torchvision cannot be imported, or cannot download.
    """
    try:
        from torchvision.models import MobileNet_V3_Large_Weights as Published

        weights = Published.IMAGENET1K_V2
        return dict(weights.get_state_dict(progress=False)), str(weights.url)
    # A torchvision of another torch build fails at import with a RuntimeError.
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendMissingError(
            "torchvision's weights are unavailable",
            why=first_line(error),
            fix="name a downloaded mobilenet_v3_large-*.pth with --backbone, or distil: "
            "--recipe mobileagenet-distilled --teacher FILE",
        ) from None
