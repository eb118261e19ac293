"""Other names for a network's tensors: those of timm, for networks with torchvision's names.

Both libraries publish MobileNetV3-Large and EfficientNet-Lite0, of the same layers in the same
order. Their batch norms differ: timm's own weights were trained with an epsilon of 1e-5, ours is
1e-3, so published weights are a start for a training and not a copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Naming:
    """Names that a file may use for a network's tensors.

    Attributes:
        origin: Whose names they are; empty for the network's own.
        own: The network's name, by the file's.
        classifier: Prefixes of the tensors of a published classifier, which a trunk leaves out.
    """

    origin: str
    own: Mapping[str, str]
    classifier: tuple[str, ...] = ()


# Blocks in each of timm's stages.
_MOBILENETV3_STAGES = (1, 2, 3, 4, 2, 3)
_LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
# Layers of a block, the first without an expansion.
_FIRST_LAYERS = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
_LAYERS = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
_SQUEEZE = {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}
_LITE0 = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE0_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_LITE0_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
# timm's MobileNetV3 has a convolution between the pooling and the classes.
_CLASSIFIER = ("classifier.", "conv_head.")


def namings(names: Iterable[str], published: tuple[str, ...] = ()) -> tuple[Naming, ...]:
    """The names that a file may use for a network's tensors; the network's own come first.

    Args:
        names: The network's names.
        published: Prefixes of the classifier under the network's own names.
    """
    names = list(names)
    found = [Naming("", {name: name for name in names}, published)]
    for translate, classifier in ((_mobilenetv3, _CLASSIFIER), (_lite0, _CLASSIFIER[:1])):
        theirs = [translate(name) for name in names]
        if names and None not in theirs:
            own = {name: own for name, own in zip(theirs, names, strict=True) if name}
            found.append(Naming("timm", own, classifier))
    return tuple(found)


def _mobilenetv3(name: str) -> str | None:
    match = re.fullmatch(r"features\.(\d+)\.(.+)", name)
    if match is None:
        return None
    index, rest = int(match[1]), match[2]
    if index == 0:
        return _renamed(rest, {"0": "conv_stem", "1": "bn1"})
    if index > sum(_MOBILENETV3_STAGES):
        found = _renamed(rest, {"0": "conv", "1": "bn1"})
        return found and f"blocks.{len(_MOBILENETV3_STAGES)}.0.{found}"
    layer = re.fullmatch(r"block\.(\d)\.(\w+)\.(\w+)", rest)
    if layer is None:
        return None
    place, kind, tensor = int(layer[1]), layer[2], layer[3]
    if kind in _SQUEEZE:
        inside = _SQUEEZE[kind]
    else:
        layers = _FIRST_LAYERS if index == 1 else _LAYERS
        # The last layer comes third, or fourth behind a squeeze-and-excitation.
        names = layers[min(place, len(layers) - 1)]
        # Another network with blocks of that name.
        if not kind.isdecimal() or int(kind) >= len(names):
            return None
        inside = names[int(kind)]
    return f"blocks.{_stage(index - 1, _MOBILENETV3_STAGES)}.{inside}.{tensor}"


def _lite0(name: str) -> str | None:
    match = re.fullmatch(r"_blocks\.(\d+)\.(.+)", name)
    if match is None:
        return _renamed(name, _LITE0_ENDS)
    index = int(match[1])
    inside = _renamed(match[2], _LITE0_FIRST if index == 0 else _LITE0)
    return inside and f"blocks.{_stage(index, _LITE0_STAGES)}.{inside}"


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    layer, _, tensor = name.partition(".")
    return f"{table[layer]}.{tensor}" if layer in table else None


def _stage(index: int, repeats: tuple[int, ...]) -> str:
    """The stage and the place in it of a block that is counted over all stages."""
    ends = list(accumulate(repeats))
    stage = next((i for i, end in enumerate(ends) if index < end), len(ends))
    return f"{stage}.{index - (ends[stage - 1] if stage else 0)}"
