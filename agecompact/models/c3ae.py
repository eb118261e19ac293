"""C3AE, the compact context-aware cascade network (Zhang et al., CVPR 2019).

One class covers the paper's plain model (Table 1), its full three-crop model and the two layouts of
the public Keras weights; they differ in the numbers of `C3AEConfig`, not in code. The paper leaves
the full model's exact layers open (8 bins in the text, 11 in Fig. 3); the defaults are the
reconstruction whose parameter count is the paper's 39.7K.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01
_CHANNELS = 32
_TRUNK_FEATURES = 4 * 4 * _CHANNELS


@dataclass(frozen=True)
class C3AEConfig:
    """What tells one C3AE layout from another.

    Attributes:
        crops: How many crops share the trunk: 1 (plain) or 3 (outer, middle, inner).
        features: Width of the trunk's own Linear, or None to hand its 512 values on as they are.
        bins: Age bins of the two-point representation; None for the plain model, which regresses
            from its features.
        interval: Years from one bin to the next, K in the paper.
        se_after: The blocks, counted from 1, whose output passes a squeeze-and-excitation module.
        se_bias: Whether those modules' Linears have a bias.
        dropout: Dropout before the first Linear.
    """

    crops: int = 3
    features: int | None = 12
    bins: int | None = 8
    interval: float = 10.0
    se_after: tuple[int, ...] = (1, 2, 3)
    se_bias: bool = False
    dropout: float = 0.2


class _SqueezeExcite(nn.Module):
    """Channel attention, squeeze factor 2, as 1x1 convolutions so that the layout never moves."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(_CHANNELS, _CHANNELS // 2, 1, bias=bias)
        self.excite = nn.Conv2d(_CHANNELS // 2, _CHANNELS, 1, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


def _block(index: int, config: C3AEConfig) -> nn.Sequential:
    """Blocks 1-3: conv, BN, ReLU, pool. Block 4 has no pool. Block 5 is a bare 1x1 convolution."""
    layers: list[tuple[str, nn.Module]]
    if index == 5:
        layers = [("conv", nn.Conv2d(_CHANNELS, _CHANNELS, 1))]
    else:
        # The bias of the first convolution would vanish in the BN that follows (Table 2's count).
        conv = nn.Conv2d(3 if index == 1 else _CHANNELS, _CHANNELS, 3, bias=index > 1)
        norm = nn.BatchNorm2d(_CHANNELS, eps=_BN_EPSILON, momentum=_BN_MOMENTUM)
        layers = [("conv", conv), ("bn", norm), ("relu", nn.ReLU())]
    if index <= 3:
        layers.append(("pool", nn.AvgPool2d(2, 2)))
    if index in config.se_after:
        layers.append(("se", _SqueezeExcite(config.se_bias)))
    block = nn.Sequential()
    for name, layer in layers:
        block.add_module(name, layer)
    return block


class C3AE(nn.Module):
    """C3AE, plain or full.

    Inputs: one tensor a crop, float32 NCHW `(N, 3, 64, 64)`, BGR, raw 0..255; with three crops in
    the order outer, middle, inner. Output: float32 `(N, 1)`, years.
    """

    def __init__(self, config: C3AEConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = nn.Sequential(*(_block(i, config) for i in range(1, 6)))
        self.dropout = nn.Dropout(config.dropout)
        self._width = config.features or _TRUNK_FEATURES
        self.features = (
            nn.Linear(_TRUNK_FEATURES, config.features) if config.features else nn.Identity()
        )
        if config.bins is None:
            self.w1 = None
            self.age = nn.Linear(self._width * config.crops, 1)
        else:
            self.w1 = nn.Linear(self._width * config.crops, config.bins)
            self.age = nn.Linear(config.bins, 1)

    def _trunk_features(self, images: Tensor) -> Tensor:
        maps = self.trunk(images)
        # HWC order, as the Keras reference flattens: TFLite then needs no transpose.
        flat = maps.permute(0, 2, 3, 1).flatten(1)
        return self.features(self.dropout(flat))  # type: ignore[no-any-return]

    def _context(self, crops: tuple[Tensor, ...]) -> Tensor:
        """Features of all crops side by side, `(N, crops * width)`.

        The crops are stacked on the batch axis so that the shared trunk stands once in the exported
        graph: exported as three calls it leaves BN unfolded, or Identity nodes on shared weights
        that onnx2tf turns into ages wrong by years, without an error.
        """
        if len(crops) == 1:
            return self._trunk_features(crops[0])
        features = self._trunk_features(torch.cat(crops, dim=0))
        by_crop = features.reshape(len(crops), -1, self._width)
        return torch.cat(by_crop.unbind(0), dim=1)

    def bins(self, *crops: Tensor) -> Tensor:
        """The softmax over age bins, `(N, bins)`: the two-point representation of section 3.2."""
        if self.w1 is None:
            raise TypeError("the plain C3AE has no bins")
        return torch.softmax(self.w1(self._context(crops)), dim=1)

    def forward(self, *crops: Tensor) -> Tensor:
        """Age in years, `(N, 1)`."""
        hidden = self._context(crops) if self.w1 is None else self.bins(*crops)
        return self.age(hidden)  # type: ignore[no-any-return]


class C3AEPlain(C3AE):
    """The single-crop model, with the input named for export."""

    def forward(self, face: Tensor) -> Tensor:  # type: ignore[override]
        """Age in years, `(N, 1)`."""
        return super().forward(face)


class C3AEFull(C3AE):
    """The three-crop model, with the inputs named for export."""

    def forward(self, outer: Tensor, middle: Tensor, inner: Tensor) -> Tensor:  # type: ignore[override]
        """Age in years, `(N, 1)`."""
        return super().forward(outer, middle, inner)


def plain(**config: object) -> C3AEPlain:
    """The plain model of Table 1, 36,345 parameters."""
    defaults: dict[str, object] = {"crops": 1, "bins": None, "se_after": ()}
    return C3AEPlain(_config(defaults, config))


def full(**config: object) -> C3AEFull:
    """The full model, 39,709 parameters with its default 8 bins."""
    return C3AEFull(_config({}, config))


def _config(defaults: dict[str, object], overrides: dict[str, object]) -> C3AEConfig:
    merged = {**defaults, **overrides}
    if "se_after" in merged:
        merged["se_after"] = tuple(merged["se_after"])  # type: ignore[arg-type]
    return C3AEConfig(**merged)  # type: ignore[arg-type]
