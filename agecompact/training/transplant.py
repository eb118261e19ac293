"""MobileAgeNet's trunk from a trained EfficientNet-Lite0, when ImageNet weights are unavailable.

The two are of one family: their stages have the same strides and, down to 1/16, the same channels,
but their blocks expand by different factors. So each block takes the expanded channels that matter
most to its counterpart (structured pruning by magnitude, Li et al., ICLR 2017), and its projection
is fitted by least squares to the counterpart's output on some faces (He et al., Channel Pruning,
ICCV 2017). Training repairs the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet

# MobileNetV3's features, and the blocks of EfficientNet-Lite0 that they are taken from. Two share
# the block of the feature before them, which they refine.
_COUNTERPARTS = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 8: 6, 9: 7, 10: 7}
_COUNTERPARTS |= {11: 8, 12: 9, 13: 11, 14: 12, 15: 13}
# Ridge of the least squares, relative to the mean power of a hidden channel.
_RIDGE = 1e-3
# Where squeeze-and-excitation gates start: nearly open, but where they still have a slope.
_OPEN = 2.5


def transplant(
    teacher: nn.Module, student: nn.Module, seen: Tensor, seen_by_teacher: Tensor
) -> None:
    """Fills a student's convolutions and norms, except the last ones, from a teacher, in place.

    Args:
        teacher: An EfficientNet-Lite0 in evaluation mode.
        student: A MobileAgeNet; its last convolution and its head do not change.
        seen: Some faces as the student's inputs, `(N, 3, H, W)`.
        seen_by_teacher: The same faces as the teacher's inputs, of the same size.

    Raises:
        UsageError: The networks are others.
    """
    if not isinstance(teacher, EfficientNetLite0) or not isinstance(student, MobileAgeNet):
        raise UsageError(
            f"{type(student).__name__} cannot start from a {type(teacher).__name__}",
            why="only mobileagenet can start from a teacher, and only from efficientnet-lite0",
            fix="start from random weights: --set start=scratch",
        )
    # Modules are reached by index and by attribute, which torch types as tensors or modules.
    features: Any = student.features
    blocks: Any = teacher._blocks
    norms = [m for m in features.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    student.train()
    with torch.no_grad():
        for module in features.modules():
            if hasattr(module, "fc2"):
                nn.init.normal_(module.fc2.weight, std=1e-3)
                nn.init.constant_(module.fc2.bias, _OPEN)
        for norm in norms:
            # The next pass replaces the running statistics by those of `seen`.
            norm.momentum = 1.0
        first = blocks[0]
        stem = _strongest(
            first._project_conv.weight, first._bn1.weight, features[0][0].out_channels
        )
        _copy(features[0], teacher._conv_stem, teacher._bn0, stem, None)
        inputs: Tensor | None = stem
        maps = features[0](seen)
        targets = teacher.block_outputs(seen_by_teacher)
        for index, counterpart in _COUNTERPARTS.items():
            block = features[index]
            inputs = _block(block.block, blocks[counterpart], inputs)
            wanted = targets[counterpart]
            _refit(block, maps, wanted if inputs is None else wanted[:, inputs])
            maps = block(maps)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _refit(block: Any, maps: Tensor, target: Tensor) -> None:
    """Fits a block's projection and its norm to bring the block's output near a target."""
    conv, norm = block.block[-1][0], block.block[-1][1]
    hidden = block.block[:-1](maps).permute(0, 2, 3, 1).flatten(0, 2).double()
    wanted = (target - maps if block.use_residual else target).permute(0, 2, 3, 1).flatten(0, 2)
    mean, offset = hidden.mean(dim=0), wanted.double().mean(dim=0)
    centred = hidden - mean
    power = centred.T @ centred
    power += _RIDGE * power.diagonal().mean() * torch.eye(len(power), dtype=power.dtype)
    solution = torch.linalg.solve(power, centred.T @ (wanted.double() - offset))
    conv.weight.copy_(solution.T.reshape(conv.weight.shape))
    # The norm divides by the spread of the convolution's output, so its gain must restore it.
    norm.weight.copy_((centred @ solution).var(dim=0, correction=0).add(norm.eps).sqrt())
    norm.bias.copy_(offset)


def _block(student: Any, teacher: Any, inputs: Tensor | None) -> Tensor | None:
    """Fills all of a block but its projection.

    Args:
        student: The student's block.
        teacher: The teacher's block.
        inputs: The teacher's input channels that the student has, or None for all.

    Returns:
        The teacher's output channels that the student has, or None for all.
    """
    expand, depthwise, project = _convolutions(student)
    kept = _strongest(teacher._project_conv.weight, teacher._bn1.weight, depthwise[0].out_channels)
    if expand is None:
        # Without an expansion, the block's channels are its input's.
        assert inputs is not None
        kept = inputs
    else:
        _copy(expand, teacher._expand_conv, teacher._bn0, kept, inputs)
    _copy(depthwise, teacher._depthwise_conv, teacher._bn1, kept, None)
    outputs = inputs if teacher._residual else None
    wanted = project[0].out_channels
    if outputs is None and wanted < teacher._project_conv.out_channels:
        norms = teacher._project_conv.weight.flatten(1).norm(dim=1) * teacher._bn2.weight.abs()
        outputs = norms.topk(wanted).indices.sort().values
    return outputs


def _convolutions(block: Any) -> tuple[Any, Any, Any]:
    """Returns a block's expansion or None, depthwise and projection, each convolution and norm."""
    pairs = [layer for layer in block if isinstance(layer, nn.Sequential)]
    expand = pairs[0] if len(pairs) == 3 else None
    return expand, pairs[-2], pairs[-1]


def _strongest(project: Tensor, gain: Tensor, count: int) -> Tensor:
    """Returns the hidden channels that a projection `(out, hidden, 1, 1)` weights most, sorted."""
    strength = project.flatten(1).norm(dim=0) * gain.abs()
    chosen: Tensor = strength.topk(count).indices.sort().values
    return chosen


def _copy(
    pair: Any, source: nn.Conv2d, norm: nn.Module, outputs: Tensor | None, inputs: Tensor | None
) -> None:
    """Fills a convolution and its norm from chosen channels of another pair."""
    weight = source.weight
    if outputs is not None:
        weight = weight[outputs]
    if inputs is not None:
        weight = weight[:, inputs]
    # A 3x3 kernel is the middle of the teacher's 5x5.
    margin = (weight.shape[2] - pair[0].kernel_size[0]) // 2
    if margin:
        weight = weight[:, :, margin:-margin, margin:-margin]
    pair[0].weight.copy_(weight)
    for name in ("weight", "bias", "running_mean", "running_var"):
        values = getattr(norm, name)
        getattr(pair[1], name).copy_(values if outputs is None else values[outputs])
