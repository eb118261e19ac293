"""Where a training starts: random or published weights, a teacher's, or weights of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.errors import BackendMissingError, UsageError
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.models.mobilenetv1 import MobileNetV1
from agecompact.training import faceres, losses
from agecompact.training.feed import sized
from agecompact.training.recipe import Recipe
from agecompact.training.transplant import transplant
from agecompact.weights.checkpoints import Weights

TORCHVISION = "torchvision"
TRANSPLANT_FACES = 384

# A state dict's entries that belong to the 1,000 classes of ImageNet.
_CLASSIFIERS = ("classifier.", "_fc.")
# Ours, which start anew.
_HEADS = ("head.", "age.")
_COUNTER = "num_batches_tracked"


def network_for(
    recipe: Recipe,
    *,
    mean: float,
    seed: int,
    chips: Sequence[Image] = (),
    start: Weights | None = None,
    teacher: Weights | None = None,
    backbone: str | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a training begins with, and where it comes from, as JSON values.

    Args:
        recipe: Which network, and how it starts.
        mean: Of the training part's labels; untrained heads begin there.
        seed: Of random weights.
        chips: Some faces to fit a transplanted trunk or FaceRes's norms on, uint8 HWC BGR;
            `TRANSPLANT_FACES` of the training part are plenty.
        start: Weights to go on from, in place of what the recipe says.
        teacher: The teacher's weights.
        backbone: Published weights, ImageNet's or FaceRes's: a path, or `TORCHVISION`.

    Raises:
        UsageError: What the recipe starts from is not given or does not fit.
        BackendMissingError: torchvision cannot be imported, or cannot download.
    """
    torch.manual_seed(seed)
    if start is not None:
        if start.model_id != recipe.model:
            raise UsageError(f"{start.path} holds '{start.model_id}', not '{recipe.model}'")
        return start.network(), {"start": start.sha256}
    network = registry.build(recipe.model, recipe.config)
    losses.start_at(network, mean)
    if recipe.start == "backbone":
        if backbone is None:
            raise UsageError(
                "the recipe starts from published weights",
                fix=f"name them with --backbone FILE, or ImageNet's with --backbone {TORCHVISION}",
            )
        if isinstance(network, MobileNetV1):
            contract = sized(registry.get(recipe.model).contract, recipe.stages[0].side)
            seen = batches.inputs(contract, chips)[0]
            return network, {"backbone": faceres.fill(network, Path(backbone), seen)}
        state, origin = _torchvision() if backbone == TORCHVISION else _state_dict(Path(backbone))
        _fill_trunk(network, state, backbone)
        return network, {"backbone": origin}
    if recipe.start == "teacher":
        if teacher is None:
            raise UsageError(
                "the recipe starts from a teacher", fix="name its weights file with --teacher"
            )
        source = teacher.network()
        if not isinstance(source, EfficientNetLite0) or not isinstance(network, MobileAgeNet):
            raise UsageError(
                f"'{recipe.model}' cannot start from '{teacher.model_id}'",
                why="only mobileagenet from efficientnet-lite0 is known",
                fix="--set start='scratch'",
            )
        side = recipe.stages[0].side
        contracts = (registry.get(recipe.model).contract, teacher.contract)
        seen, seen_by_teacher = (batches.inputs(sized(c, side), chips)[0] for c in contracts)
        transplant(source, network, seen, seen_by_teacher)
        return network, {"transplanted": teacher.sha256}
    return network, {}


def _fill_trunk(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Loads a classifier's state dict but for its classes.

    The published names are the network's own: torchvision's for MobileNetV3, the PyPI package's for
    EfficientNet-Lite0.
    """
    own = network.state_dict()
    trunk = {k: v for k, v in state.items() if not k.startswith(_CLASSIFIERS)}
    # BN's counters, which older state dicts lack, are nothing to go by.
    trunk = {k: v for k, v in trunk.items() if not k.endswith(_COUNTER)}
    wanted = {k for k in own if not k.startswith(_HEADS) and not k.endswith(_COUNTER)}
    missing = sorted(wanted - trunk.keys())
    surplus = sorted(trunk.keys() - wanted)
    unlike = sorted(k for k in wanted & trunk.keys() if trunk[k].shape != own[k].shape)
    if missing or surplus or unlike:
        raise UsageError(
            f"{name} is no backbone of this network",
            why=f"{len(missing)} tensors missing, {len(surplus)} too many, {len(unlike)} of "
            f"another shape: {', '.join((missing + surplus + unlike)[:3])}",
        )
    for key in sorted(wanted):
        if not torch.isfinite(trunk[key]).all():
            raise UsageError(f"{name} is broken", why=f"'{key}' holds NaN or Inf")
    network.load_state_dict(trunk, strict=False)


def _state_dict(path: Path) -> tuple[dict[str, Tensor], str]:
    """A state dict from a file, safetensors or torch's; nothing but tensors is unpickled."""
    if not path.is_file():
        raise UsageError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises whatever the archive, the unpickler or the storage runs into.
        raise UsageError(
            f"{path} is no state dict", why=(str(error).splitlines() or [repr(error)])[0]
        ) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{path} is no state dict", why="it holds something else than tensors")
    return dict(state), sha256_of(path)


def _torchvision() -> tuple[dict[str, Tensor], str]:
    """Torchvision's ImageNet weights of MobileNetV3-Large, from its own site."""
    try:
        from torchvision.models import MobileNet_V3_Large_Weights as Published

        weights = Published.IMAGENET1K_V2
        return dict(weights.get_state_dict(progress=False)), str(weights.url)
    # A torchvision of another torch build fails at import with a RuntimeError.
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendMissingError(
            "torchvision's weights are not to be had here",
            why=(str(error).splitlines() or [repr(error)])[0],
            fix="name a downloaded mobilenet_v3_large-*.pth with --backbone, or distil: "
            "--recipe mobileagenet-distilled --teacher FILE",
        ) from None
