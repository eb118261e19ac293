"""SSR-Net, the soft stagewise regression network (Yang et al., IJCAI 2018).

Two streams of convolutions meet in three stages. Stage k refines the age interval left by stage
k - 1: it predicts a distribution over `bins` sub-intervals, a shift of each bin's index and a
stretch of the interval's width. The age is equation (7) of the paper.
"""

from __future__ import annotations

import operator
from functools import reduce
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

# Keras's defaults, used to train the reference weights; torch's differ.
_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01

_FUSION_CHANNELS = 10


def _conv_bn(inputs: int, outputs: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3),
        nn.BatchNorm2d(outputs, eps=_BN_EPSILON, momentum=_BN_MOMENTUM),
        activation,
    )


class _Stream(nn.Module):
    """Four convolutions with a pool after the first three; returns the maps that are fused."""

    def __init__(self, channels: int, activation: type[nn.Module], pool: type[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _conv_bn(3 if i == 0 else channels, channels, activation()) for i in range(4)
        )
        self.pool = pool(2, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.pool(self.blocks[0](image))
        second = self.pool(self.blocks[1](first))
        third = self.pool(self.blocks[2](second))
        return self.blocks[3](third), second, first


class _Branch(nn.Module):
    """One stream's part of a stage: 1x1 convolution, pool, features, and their projection."""

    def __init__(
        self, channels: int, features: int, bins: int, pool: nn.Module, dropout: float
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, _FUSION_CHANNELS, 1)
        self.pool = pool
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, bins), nn.ReLU())

    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.pool(torch.relu(self.reduce(feature_map)))
        # HWC order, as the Keras reference flattens: TFLite then needs no transpose.
        features = pooled.permute(0, 2, 3, 1).flatten(1)
        return features, self.project(features)


class _Stage(nn.Module):
    """Fuses the two streams at one depth into (p, eta, delta) of equation (7)."""

    def __init__(self, side: int, pool: int, bins: int, dropout: float) -> None:
        super().__init__()
        features = (side // pool) ** 2 * _FUSION_CHANNELS
        average = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        maximum = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()
        self.x = _Branch(32, features, bins, average, dropout)
        self.s = _Branch(16, features, bins, maximum, dropout)
        self.delta = nn.Linear(features, 1)
        self.mix = nn.Linear(bins, 2 * bins)
        self.p = nn.Linear(2 * bins, bins)
        self.eta = nn.Linear(2 * bins, bins)

    def forward(self, x_map: Tensor, s_map: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, x_projected = self.x(x_map)
        s, s_projected = self.s(s_map)
        delta = torch.tanh(self.delta(s * x))
        mixed = torch.relu(self.mix(s_projected * x_projected))
        return torch.relu(self.p(mixed)), torch.tanh(self.eta(mixed)), delta


class SSRNet(nn.Module):
    """SSR-Net for age or gender.

    Input: float32 NCHW `(N, 3, S, S)`, S = 64 * `shrink`, BGR, raw 0..255. Output: float32
    `(N, 1)`, years for `v=101`, a score in about 0..1 for `v=1`.

    Args:
        stages: Bins of each of the three stages, s_k in the paper.
        v: The range V of the output: 101 for age, 1 for gender.
        lambda_local: Weight of the bin index shift eta.
        lambda_d: Weight of the interval stretch delta.
        dropout: Dropout before each stream's projection.
        shrink: Side of the squares whose means are the paper's input. With 2, it hardly matters by
            which filter an app resizes a face.
    """

    def __init__(
        self,
        stages: tuple[int, int, int] = (3, 3, 3),
        v: float = 101.0,
        lambda_local: float = 1.0,
        lambda_d: float = 1.0,
        dropout: float = 0.2,
        shrink: int = 1,
    ) -> None:
        super().__init__()
        self.v = v
        self.lambda_local = lambda_local
        self.lambda_d = lambda_d
        self.shrink = nn.AvgPool2d(shrink) if shrink > 1 else nn.Identity()
        self.x_stream = _Stream(32, nn.ReLU, nn.AvgPool2d)
        self.s_stream = _Stream(16, nn.Tanh, nn.MaxPool2d)
        # Sides of the fused maps, deepest first, and the pool that brings each to 4x4 or 3x3.
        geometry = zip((4, 14, 31), (1, 4, 8), stages, strict=True)
        self.stages = nn.ModuleList(_Stage(side, pool, n, dropout) for side, pool, n in geometry)
        for k, bins in enumerate(stages):
            self.register_buffer(
                f"_index{k}", torch.arange(bins, dtype=torch.float32), persistent=False
            )

    def forward(self, face: Tensor) -> Tensor:
        """Computes V * sum_k [sum_i p_i (i + eta_i)] / prod_{j<=k} s_j (1 + delta_j), `(N, 1)`."""
        face = self.shrink(face)
        x_maps = self.x_stream(face)
        s_maps = self.s_stream(face)
        expected: list[Tensor] = []
        widths: list[Tensor] = []
        for k, stage in enumerate(self.stages):
            p, eta, delta = stage(x_maps[k], s_maps[k])
            index = self.get_buffer(f"_index{k}")
            widths.append(index.numel() * (1.0 + self.lambda_d * delta))
            expected.append((p * (index + self.lambda_local * eta)).sum(dim=1, keepdim=True))
        products = accumulate(widths, operator.mul)
        terms = (e / width for e, width in zip(expected, products, strict=True))
        answer: Tensor = self.v * reduce(operator.add, terms)
        return answer


class SSRNetGender(SSRNet):
    """SSR-Net for gender, V = 1: 0 female, 1 male, as in the UTKFace and IMDB weights."""

    def __init__(self, v: float = 1.0, **config: Any) -> None:
        super().__init__(v=v, **config)
