"""MobileNetV1 has the published counts, maps and padding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from agecompact.models.mobilenetv1 import MobileNetV1

# Keras's `MobileNet(include_top=False)`, whose count includes running statistics.
_KERAS_TRUNK = 3_228_864


def test_its_trunk_has_the_published_count() -> None:
    network = MobileNetV1()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    trunk = sum(parameter.numel() for parameter in network.features.parameters())
    assert trunk + 2 * sum(norm.num_features for norm in norms) == _KERAS_TRUNK


def test_its_maps_are_those_of_the_paper() -> None:
    network = MobileNetV1().eval()
    maps, sides = torch.randn(1, 3, 224, 224), []
    with torch.no_grad():
        for unit in network.features:
            maps = unit(maps)
            sides.append(maps.shape[2])
    assert maps.shape == (1, 1024, 7, 7)
    assert sides == [112] * 3 + [56] * 4 + [28] * 4 + [14] * 12 + [7] * 4


def test_strided_convolutions_pad_only_below_and_on_the_right() -> None:
    first = MobileNetV1().features[0]
    assert isinstance(first, nn.Sequential)
    pad, conv = first[0], first[1]
    face = torch.randn(1, 3, 8, 8)
    padded = F.pad(face, (0, 1, 0, 1))
    assert torch.allclose(conv(pad(face)), F.conv2d(padded, conv.weight, stride=2), atol=1e-5)
