"""MobileNetV1 with FaceRes's age head: a teacher pretrained on faces, never exported.

Howard et al., arXiv 1704.04861, Table 1, with the head of Savchenko, PeerJ Computer Science 5:e197,
2019: the age is the mean of a distribution over 100 ages. Strided convolutions pad only below and
on the right, as TensorFlow does and as the published weights expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

_AGES = 100

_BN_EPSILON = 1e-3
_HIDDEN = 256
# Table 1: channels after the first convolution and after each depthwise separable one, and the
# positions of the depthwise separable ones with stride 2.
_CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDED = (2, 4, 6, 12)


class _Unit(nn.Sequential):
    """Convolution, batch norm and ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            nn.Identity() if stride == 1 else nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=_BN_EPSILON),
            nn.ReLU6(),
        )


class MobileNetV1(nn.Module):
    """MobileNetV1 that predicts an age, 3,495,076 trainable parameters.

    Input: float32 NCHW `(N, 3, H, W)`, RGB, sides divisible by 32. Output: float32 `(N, 1)`, years.

    Args:
        dropout: Dropout before the head; half as much before its last layer.
    """

    def __init__(self, *, dropout: float = 0.4) -> None:
        super().__init__()
        units = [_Unit(3, _CHANNELS[0], 3, stride=2)]
        for index, (inputs, outputs) in enumerate(pairwise(_CHANNELS), start=1):
            stride = 2 if index in _STRIDED else 1
            units += [
                _Unit(inputs, inputs, 3, stride=stride, groups=inputs),
                _Unit(inputs, outputs, 1),
            ]
        self.features = nn.Sequential(*units)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(_CHANNELS[-1], _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout / 2),
            nn.Linear(_HIDDEN, _AGES),
        )

    def forward(self, face: Tensor) -> Tensor:
        """Returns the age in years, `(N, 1)`."""
        shares = self.head(self.features(face).mean(dim=(2, 3))).float().softmax(dim=1)
        ages = torch.arange(_AGES, dtype=torch.float32, device=shares.device)
        age: Tensor = (shares * ages).sum(dim=1, keepdim=True)
        return age

    def hint_layers(self) -> Mapping[str, nn.Module]:
        """Returns the head's first linear layer: `trainable.HasHintLayers`."""
        return {"hidden": self.head[1]}
