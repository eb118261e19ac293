"""What stands between LEMUR (PyPI `nn-dataset`) and a network of ours.

Exported modules carry a copy of this file's definitions, so it needs torch alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# What LEMUR's loaders of faces normalise R, G and B of 0..1 with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Setting:
    """How LEMUR's images become a network's inputs, and how it learns.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        crops: Left, top, right and bottom of each input, in parts of the image.
        area: Whether crops are resized by area, as OpenCV's INTER_AREA, or else bilinearly.
        bgr: Whether the input's channels are B, G, R.
        scale: Factors from levels of 0..255 to the input's values, by its channels.
        offset: What is added then.
        answers: Least and greatest answer, or None where nothing bounds it.
        score: Whether the answer is a 0..1 score and no age.
        start: Values of an untrained network's last layer whose first answers are plausible.
        error: Loss of answers against targets.
        weight_decay: Decoupled, as AdamW's.
        clip_norm: Bound on the gradient's norm.
    """

    height: int
    width: int
    crops: tuple[tuple[float, float, float, float], ...]
    area: bool
    bgr: bool
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    answers: tuple[float, float] | None
    score: bool
    start: Mapping[str, Sequence[Any]]
    error: Callable[..., Tensor]
    weight_decay: float
    clip_norm: float


def _weights(size: int, side: int, low: float, high: float, area: bool) -> Tensor:
    """What each of `size` pixels adds to each of `side` that a crop of them is resized to.

    Tensors do the rounding: numbers would fix the size, which LEMUR's ONNX export keeps open.

    Args:
        size: Pixels of the image along an axis.
        side: Pixels of the input.
        low: Where the crop begins, in parts of the image.
        high: Where it ends.
        area: By area, as OpenCV's INTER_AREA, or else bilinearly.

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
    """A crop of images, resized to the input's height and width."""
    height, width = images.shape[-2:]
    whole = crop == (0.0, 0.0, 1.0, 1.0) and not torch.compiler.is_exporting()
    if whole and (height, width) == (setting.height, setting.width):
        return images
    left, top, right, bottom = crop
    rows = _weights(height, setting.height, top, bottom, setting.area).to(images)
    columns = _weights(width, setting.width, left, right, setting.area).to(images)
    return rows @ images @ columns.T


class LemurNet(nn.Module):
    """LEMUR's side of a network; a subclass names the network after it, and its setting."""

    setting: Setting
    device: torch.device
    pair: bool

    def connect(
        self, in_shape: Sequence[int], out_shape: Sequence[int], device: torch.device
    ) -> None:
        """Takes what LEMUR tells of the data, once the network is built."""
        if in_shape[-3] != 3:
            raise ValueError(f"faces are RGB images, these have {in_shape[-3]} channels")
        self.device = device
        # LEMUR tells a gender by two logits, where these networks have one score.
        self.pair = self.setting.score and tuple(out_shape) == (2,)
        with torch.no_grad():
            for name, values in self.setting.start.items():
                self.get_parameter(name).copy_(torch.tensor(values))

    def inputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the network eats, from images `(N, 3, H, W)` as LEMUR's loaders normalise them."""
        setting = self.setting
        levels = (images * _by_channel(STD, images) + _by_channel(MEAN, images)) * 255
        if setting.bgr:
            levels = levels.flip(1)
        scale, offset = _by_channel(setting.scale, images), _by_channel(setting.offset, images)
        # Whole levels, as resized photos have: networks trained on those answer otherwise by years.
        return tuple(_cut(levels, crop, setting).round() * scale + offset for crop in setting.crops)

    def forward(self, images: Tensor) -> Tensor:
        """The answer, `(N, 1)`; a score as the pair (1 - score, score) where LEMUR asks for two."""
        answer: Tensor = super().forward(*self.inputs(images))
        return torch.cat((1 - answer, answer), dim=1) if self.pair else answer

    def targets(self, labels: Tensor) -> Tensor:
        """Labels of any shape and type as float32 `(N, 1)`, within what the network can answer."""
        targets = labels.float().reshape(-1, 1)
        return targets.clamp(*self.setting.answers) if self.setting.answers else targets

    def criterion(self, answers: Tensor, labels: Tensor) -> Tensor:
        """The answers' error, LEMUR's test loss."""
        return self.setting.error(answers[:, -1:], self.targets(labels))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """What training lowers."""
        return self.criterion(self(images), labels)

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
