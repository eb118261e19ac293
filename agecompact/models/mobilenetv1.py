"""MobileNetV1 with FaceRes's age head: a teacher that has seen faces before, never exported.

Howard et al., arXiv 1704.04861, Table 1, with the head of Savchenko, PeerJ Computer Science 5:e197,
2019: the age is the mean of a distribution over 100 of them. Strided convolutions pad below and
on the right alone, as TensorFlow's do and as the published weights expect.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

AGES = 100

_BN_EPSILON = 1e-3
_HIDDEN = 256
# Table 1: channels after the first convolution and after each depthwise separable one, and which of
# the latter have stride 2.
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
    """MobileNetV1 that tells an age.

    Args:
        dropout: Before the head; half as much before its last layer.
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
            nn.Linear(_HIDDEN, AGES),
        )

    def forward(self, face: Tensor) -> Tensor:
        """Age in years, `(N, 1)`, of RGB faces `(N, 3, H, W)` with sides divisible by 32."""
        return self.answer(self.hidden(face))

    def hidden(self, face: Tensor) -> Tensor:
        """The head's first linear layer's output, `(N, 256)`, of faces as `forward` takes them."""
        hidden: Tensor = self.head[:2](self.features(face).mean(dim=(2, 3)))
        return hidden

    def answer(self, hidden: Tensor) -> Tensor:
        """Age in years, `(N, 1)`, from what `hidden` returns."""
        shares = self.head[2:](hidden).float().softmax(dim=1)
        ages = torch.arange(AGES, dtype=torch.float32, device=shares.device)
        age: Tensor = (shares * ages).sum(dim=1, keepdim=True)
        return age


def age(**config: object) -> MobileNetV1:
    """MobileNetV1 for ages, 3,495,076 trainable parameters."""
    return MobileNetV1(**config)  # type: ignore[arg-type]
