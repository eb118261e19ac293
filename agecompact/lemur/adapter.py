"""The LEMUR (PyPI `nn-dataset`) side of a network: its inputs, its loss and its training.

Exported modules carry a copy of this file, so it needs torch alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agecompact.models.trainable import HasLossFeatures, HasOutputStart, LossFeatures
from agecompact.training.losses import Loss

# With these, LEMUR's face loaders normalise R, G and B of 0..1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Mean age of UTKFace, in years: LEMUR builds a `Net` before it shows any label.
_START_AGE = 33.0


@dataclass(frozen=True)
class Setting:
    """How LEMUR's images become a network's inputs, and how the network learns.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        crops: Left, top, right and bottom of each input, as fractions of the image.
        area: Whether crops are resized by area, as OpenCV's INTER_AREA, rather than bilinearly.
        bgr: Whether the input's channels are B, G, R.
        scale: Factors from levels of 0..255 to input values, per input channel.
        offset: Added after the scale, per input channel.
        bounds: Bounds of the output, or None if it is unbounded.
        score: Whether the output is a 0..1 score rather than an age.
        loss: Training loss.
        error: Test loss.
        weight_decay: Decoupled, as in AdamW.
        clip_norm: Bound on the gradient's norm.
    """

    height: int
    width: int
    crops: tuple[tuple[float, float, float, float], ...]
    area: bool
    bgr: bool
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    bounds: tuple[float, float] | None
    score: bool
    loss: Loss
    error: Loss
    weight_decay: float
    clip_norm: float


def _weights(size: int, side: int, low: float, high: float, area: bool) -> Tensor:
    """Returns the weight of each image pixel in each input pixel, along one axis.

    Tensors do the rounding: numbers would fix the size, which LEMUR's ONNX export leaves open.

    Args:
        size: Pixels of the image.
        side: Pixels of the input.
        low: Start of the crop, as a fraction of the image.
        high: End of the crop, likewise.
        area: Resize by area, as OpenCV's INTER_AREA, rather than bilinearly.

    Returns:
        `(side, size)`, rows summing to 1.
    """
    first, last = torch.round(torch.tensor([low, high], dtype=torch.float64) * size)
    last = torch.maximum(last, first + 1)
    step = (last - first) / side
    pixels = torch.arange(size, dtype=torch.float64)
    if area:
        edges = first + torch.arange(side + 1, dtype=torch.float64) * step
        ends = torch.minimum(edges[1:, None], pixels + 1)
        overlap = (ends - torch.maximum(edges[:-1, None], pixels)).clamp(min=0)
        return torch.div(overlap, step).float()
    centres = first + (torch.arange(side, dtype=torch.float64) + 0.5) * step - 0.5
    centres = torch.minimum(torch.maximum(centres, first), last - 1)
    return (1 - (pixels - centres[:, None]).abs()).clamp(min=0).float()


def _by_channel(values: tuple[float, float, float], images: Tensor) -> Tensor:
    return torch.tensor(values).to(images)[:, None, None]


def _cut(images: Tensor, crop: tuple[float, float, float, float], setting: Setting) -> Tensor:
    """Returns a crop of images, resized to the input's height and width."""
    height, width = images.shape[-2:]
    whole = crop == (0.0, 0.0, 1.0, 1.0) and not torch.compiler.is_exporting()
    if whole and (height, width) == (setting.height, setting.width):
        return images
    left, top, right, bottom = crop
    rows = _weights(height, setting.height, top, bottom, setting.area).to(images)
    columns = _weights(width, setting.width, left, right, setting.area).to(images)
    return rows @ images @ columns.T


class LemurNet(nn.Module):
    """LEMUR's interface; a subclass adds the network as a second base, and the setting."""

    setting: Setting
    device: torch.device
    pair: bool

    def connect(
        self, in_shape: Sequence[int], out_shape: Sequence[int], device: torch.device
    ) -> None:
        """Takes LEMUR's description of the data, once the network is built."""
        if in_shape[-3] != 3:
            raise ValueError(f"face images are RGB, these have {in_shape[-3]} channels")
        self.device = device
        # LEMUR may want a gender as two logits; these networks have one score.
        self.pair = self.setting.score and tuple(out_shape) == (2,)
        if isinstance(self, HasOutputStart) and not self.setting.score:
            self.initialise_output(_START_AGE)

    def inputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns the network's inputs from images `(N, 3, H, W)` of LEMUR's loaders."""
        setting = self.setting
        levels = (images * _by_channel(STD, images) + _by_channel(MEAN, images)) * 255
        if setting.bgr:
            levels = levels.flip(1)
        scale, offset = _by_channel(setting.scale, images), _by_channel(setting.offset, images)
        # Whole levels, as in resized photos: without the rounding ages are wrong by years.
        return tuple(_cut(levels, crop, setting).round() * scale + offset for crop in setting.crops)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the output, `(N, 1)`, or a score as the pair (1 - score, score)."""
        output: Tensor = super().forward(*self.inputs(images))
        return torch.cat((1 - output, output), dim=1) if self.pair else output

    def targets(self, labels: Tensor) -> Tensor:
        """Returns labels of any shape and type as float32 `(N, 1)`, within the output's bounds."""
        targets = labels.float().reshape(-1, 1)
        return targets.clamp(*self.setting.bounds) if self.setting.bounds else targets

    def criterion(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Returns the outputs' error, LEMUR's test loss."""
        return self.setting.error(LossFeatures(outputs[:, -1:]), self.targets(labels))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the training loss."""
        inputs = self.inputs(images)
        if isinstance(self, HasLossFeatures):
            features = self.features_for_loss(*inputs)
        else:
            features = LossFeatures(super().forward(*inputs))
        return self.setting.loss(features, self.targets(labels))

    def train_setup(self, prm: Mapping[str, Any]) -> None:
        """Sets up the loss and the optimiser."""
        self.to(self.device)
        self.criteria = (self.criterion,)
        self.optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=prm["lr"],
            betas=(prm["momentum"], 0.999),
            weight_decay=self.setting.weight_decay,
        )

    def learn(self, train_data: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Trains on batches of images and labels, once each."""
        self.train()
        for images, labels in train_data:
            loss = self.loss(images.to(self.device), labels.to(self.device))
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss became {loss.item()}: lower lr or momentum")
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.parameters(), self.setting.clip_norm)
            self.optimizer.step()
