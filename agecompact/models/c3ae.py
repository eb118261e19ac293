"""C3AE, the compact context-aware cascade network (Zhang et al., CVPR 2019).

One class covers the paper's plain model (Table 1), its full three-crop model and the two layouts of
the public Keras weights; they differ in the numbers of `C3AEConfig`, not in code. The paper leaves
open the full model's exact layers (8 bins in the text, 11 in Fig. 3); the defaults are the
reconstruction whose parameter count is the paper's 39.7K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agecompact.models.trainable import AgeBins, LossFeatures

_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01
_CHANNELS = 32
_TRUNK_FEATURES = 4 * 4 * _CHANNELS


@dataclass(frozen=True)
class C3AEConfig:
    """A layout of C3AE; the defaults are the full model's.

    Attributes:
        crops: How many crops share the trunk: 1 (plain) or 3 (outer, middle, inner).
        features: Width of the trunk's own Linear, or None to pass its 512 values on unchanged.
        bins: Age bins of the two-point representation; None for the plain model, which regresses
            from its features.
        interval: Years from one bin to the next, K in the paper.
        se_after: The blocks, counted from 1, that end with a squeeze-and-excitation module.
        se_bias: Whether the convolutions of those modules have a bias.
        dropout: Dropout before the first Linear.
        shrink: Side of the squares whose means are the paper's input. With 2, it hardly matters by
            which filter an app resizes a face.
    """

    crops: int = 3
    features: int | None = 12
    bins: int | None = 8
    interval: float = 10.0
    se_after: Sequence[int] = (1, 2, 3)
    se_bias: bool = False
    dropout: float = 0.2
    shrink: int = 1


class _SqueezeExcite(nn.Module):
    """Channel attention, squeeze factor 2, as 1x1 convolutions so that the layout never changes."""

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
        # The BN that follows would cancel a bias of the first convolution (Table 2's count).
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

    Inputs: one tensor per crop, float32 NCHW `(N, 3, S, S)`, S = 64 * `shrink`, BGR, raw 0..255;
    three crops are in the order outer, middle, inner. Output: float32 `(N, 1)`, years.
    """

    def __init__(self, config: C3AEConfig) -> None:
        super().__init__()
        self.config = config
        self.shrink = nn.AvgPool2d(config.shrink) if config.shrink > 1 else nn.Identity()
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
        """Returns the features of all crops side by side, `(N, crops * width)`.

        The crops are stacked on the batch axis so that the exported graph holds the shared trunk
        once. Three calls of it leave BN unfolded, or Identity nodes on shared weights that onnx2tf
        turns into ages wrong by years, without an error.
        """
        crops = tuple(self.shrink(crop) for crop in crops)
        if len(crops) == 1:
            return self._trunk_features(crops[0])
        features = self._trunk_features(torch.cat(crops, dim=0))
        by_crop = features.reshape(len(crops), -1, self._width)
        return torch.cat(by_crop.unbind(0), dim=1)

    def bins(self, *crops: Tensor) -> Tensor:
        """Returns the softmax over age bins, `(N, bins)`, the representation of section 3.2."""
        if self.w1 is None:
            raise TypeError("the plain C3AE has no bins")
        return torch.softmax(self.w1(self._context(crops)), dim=1)

    def forward(self, *crops: Tensor) -> Tensor:
        """Returns the age in years, `(N, 1)`."""
        hidden = self._context(crops) if self.w1 is None else self.bins(*crops)
        return self.age(hidden)  # type: ignore[no-any-return]

    def features_for_loss(self, *crops: Tensor) -> LossFeatures:
        """Returns the age and the bins, if there are any: `trainable.HasLossFeatures`."""
        if self.w1 is None:
            return LossFeatures(self.age(self._context(crops)))
        shares = self.bins(*crops)
        bins = AgeBins(shares, self.config.interval, self.w1.weight)
        return LossFeatures(self.age(shares), bins)

    def initialise_output(self, mean: float) -> None:
        """Starts at a mean age, or at the bins' own ages: `trainable.HasOutputStart`."""
        if self.config.bins is None:
            nn.init.constant_(self.age.bias, mean)
            return
        ages = torch.arange(self.config.bins) * self.config.interval
        nn.init.zeros_(self.age.bias)
        with torch.no_grad():
            self.age.weight.copy_(ages.unsqueeze(0))


class C3AEPlain(C3AE):
    """The plain model of Table 1, one crop, 36,345 parameters."""

    def __init__(self, **config: Any) -> None:
        super().__init__(C3AEConfig(**{"crops": 1, "bins": None, "se_after": (), **config}))

    # The name of the argument is that of the exported input.
    def forward(self, face: Tensor) -> Tensor:  # type: ignore[override]
        """Returns the age in years, `(N, 1)`."""
        return super().forward(face)


class C3AEFull(C3AE):
    """The full model, three crops, 39,709 parameters with its default 8 bins."""

    def __init__(self, **config: Any) -> None:
        super().__init__(C3AEConfig(**config))

    # The names of the arguments are those of the exported inputs.
    def forward(self, outer: Tensor, middle: Tensor, inner: Tensor) -> Tensor:  # type: ignore[override]
        """Returns the age in years, `(N, 1)`."""
        return super().forward(outer, middle, inner)
