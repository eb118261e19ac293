"""Small networks as users write them, with outputs of several kinds. The last layer is `head`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _block(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class _Trunk(nn.Sequential):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            _block(channels, width),
            _block(width, 2 * width),
            _block(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(maps, 1)
        return maps * functional.hardsigmoid(self.expand(torch.relu(self.reduce(pooled))))


class _Inverted(nn.Module):
    """An inverted residual as in MobileNetV3 (Howard et al., 2019)."""

    def __init__(self, inputs: int, expanded: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(inputs, expanded, 1, bias=False),
            nn.BatchNorm2d(expanded),
            nn.Hardswish(),
            nn.Conv2d(expanded, expanded, 5, stride, 2, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
            nn.Hardswish(),
            _Squeeze(expanded),
            nn.Conv2d(expanded, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = self.block(maps)
        return maps + made if self.adds else made


class Mobile(nn.Module):
    """A small MobileNetV3 whose head gives an age divided by 100, as `(N,)`."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.Hardswish(),
            _Inverted(width, 2 * width, 2 * width, 2),
            _Inverted(2 * width, 4 * width, 2 * width, 1),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(2 * width, 1)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.features(face).flatten(1))
        return made.squeeze(1)


class Bins(nn.Module):
    """Logits of 101 ages, a year apart."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _Trunk(3, 8)
        self.head = nn.Linear(32, 101)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.trunk(face))
        return made


class TwoHeads(nn.Module):
    """An age and the logit of a gender, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _Trunk(3, 8)
        self.head = nn.Linear(32, 2)

    def forward(self, face: Tensor) -> dict[str, Tensor]:
        made = self.head(self.trunk(face))
        return {"gender": made[:, 1:], "age": made[:, :1]}


class Pose(nn.Module):
    """Yaw, pitch and roll in degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _Trunk(3, 8)
        self.head = nn.Linear(32, 3)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.trunk(face))
        return made


class Grey(nn.Module):
    """Logits of seven moods, of a grey face of 48 x 48."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _Trunk(1, 8)
        self.head = nn.Linear(32, 7)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.trunk(face))
        return made


class _Basic(nn.Module):
    """Two convolutions and what they read, as in ResNet (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _block(inputs, outputs, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
        self.changes = stride != 1 or inputs != outputs

    def forward(self, maps: Tensor) -> Tensor:
        kept = self.shortcut(maps) if self.changes else maps
        return torch.relu(kept + self.second(self.first(maps)))


class Residual(nn.Module):
    """A small ResNet that gives an age."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(3, 8), _Basic(8, 8, 1), _Basic(8, 16, 2), _Basic(16, 32, 2)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(32, 1)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.pool(self.features(face)).flatten(1))
        return made


class _Bottleneck(nn.Module):
    """An inverted residual with a linear bottleneck, as in MobileNetV2 (Sandler et al., 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        expanded = 6 * inputs
        self.block = nn.Sequential(
            nn.Conv2d(inputs, expanded, 1, bias=False),
            nn.BatchNorm2d(expanded),
            nn.ReLU6(),
            nn.Conv2d(expanded, expanded, 3, stride, 1, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
            nn.ReLU6(),
            nn.Conv2d(expanded, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = self.block(maps)
        return maps + made if self.adds else made


class Bottlenecks(nn.Module):
    """A small MobileNetV2 that gives an age."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            _Bottleneck(8, 12, 2),
            _Bottleneck(12, 12, 1),
            _Bottleneck(12, 16, 2),
            _Bottleneck(16, 16, 1),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(16, 1)

    def forward(self, face: Tensor) -> Tensor:
        made: Tensor = self.head(self.features(face).flatten(1))
        return made
