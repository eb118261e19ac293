"""MobileNetV3-Large features (Howard et al., ICCV 2019, Table 1), with torchvision's names.

Defined here because torchvision cannot be imported with a CPU build of torch. The modules have
torchvision's names, so its `mobilenet_v3_large` state dict loads unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01

OUTPUT_CHANNELS = 960


@dataclass(frozen=True)
class _Row:
    """One row of Table 1."""

    kernel: int
    expanded: int
    outputs: int
    squeeze_excite: bool
    hardswish: bool
    stride: int


_TABLE_1 = (
    _Row(3, 16, 16, False, False, 1),
    _Row(3, 64, 24, False, False, 2),
    _Row(3, 72, 24, False, False, 1),
    _Row(5, 72, 40, True, False, 2),
    _Row(5, 120, 40, True, False, 1),
    _Row(5, 120, 40, True, False, 1),
    _Row(3, 240, 80, False, True, 2),
    _Row(3, 200, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 480, 112, True, True, 1),
    _Row(3, 672, 112, True, True, 1),
    _Row(5, 672, 160, True, True, 2),
    _Row(5, 960, 160, True, True, 1),
    _Row(5, 960, 160, True, True, 1),
)


def _divisible(value: float, divisor: int = 8) -> int:
    """Returns the nearest multiple of `divisor` that is at most 10 % below `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class _Hardsigmoid(nn.Module):
    """relu6(x + 3) / 6 as separate ops.

    As one op it becomes TFLite's RELU_0_TO_1, which XNNPACK does not support, and which splits the
    graph into nine partitions. As separate ops the graph stays in one.
    """

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(x + 3.0) * (1.0 / 6.0)


class _SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU()
        self.scale_activation = _Hardsigmoid()

    def forward(self, maps: Tensor) -> Tensor:
        # The mean in two steps: TFLite's kernels add values one by one, and rounding 784 sums costs
        # 2e-4 years on constant images. The first is a sum, as converters would merge two means.
        pooled = maps.sum(dim=3, keepdim=True).mean(dim=2, keepdim=True) / maps.shape[3]
        scale = self.fc2(self.activation(self.fc1(pooled)))
        weighted: Tensor = self.scale_activation(scale) * maps
        return weighted


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, row: _Row) -> None:
        super().__init__()
        activation = nn.Hardswish if row.hardswish else nn.ReLU
        width = row.expanded
        layers: list[nn.Module] = []
        if width != inputs:
            layers.append(_conv_norm(inputs, width, 1, activation))
        layers.append(
            _conv_norm(width, width, row.kernel, activation, stride=row.stride, groups=width)
        )
        if row.squeeze_excite:
            layers.append(_SqueezeExcitation(width, _divisible(width / 4)))
        layers.append(_conv_norm(width, row.outputs, 1, None))
        self.block = nn.Sequential(*layers)
        self.use_residual = row.stride == 1 and inputs == row.outputs

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.block(maps)
        return maps + out if self.use_residual else out


def mobilenet_v3_large_features(stem: int = 3) -> nn.Sequential:
    """Returns the convolutional part: float32 NCHW `(N, 3, H, W)` -> `(N, 960, H/32, W/32)`.

    Args:
        stem: Side of the first convolution's kernel, in pixels; the paper's is 3.
    """
    layers: list[nn.Module] = [_conv_norm(3, 16, stem, nn.Hardswish, stride=2)]
    channels = 16
    for row in _TABLE_1:
        layers.append(_InvertedResidual(channels, row))
        channels = row.outputs
    layers.append(_conv_norm(channels, OUTPUT_CHANNELS, 1, nn.Hardswish))
    features = nn.Sequential(*layers)
    for module in features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return features
