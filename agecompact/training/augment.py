"""Random changes to a face chip, and to how an app makes a network's input of it.

`augment` acts on the chip, not on the input, so that training crops, resizes and normalises as
deployment does. Apps differ in one thing that the contract fixes: few resize by area. `deliver`
draws the resize, so that a network learns to answer alike for any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from agecompact.contract import Contract, Image
from agecompact.evaluation import distortions

# What platforms offer besides the contract's. The nearest pixel is a mistake, not a choice.
_RESIZES = ("area", "linear", "linear-antialiased", "cubic")
_JPEG_QUALITIES = (40, 95)


@dataclass(frozen=True)
class Augmentation:
    """How far a chip may change; each amount is drawn uniformly up to its bound.

    Attributes:
        zoom: Relative change of size.
        shift: Translation as a fraction of the side.
        rotate: Rotation in degrees.
        shear: Shear in degrees.
        flip: Whether to mirror half of the chips.
        light: Relative change of contrast, and change of brightness as a fraction of 255.
        tint: Relative change of each colour channel.
        blur: Probability of a 3x3 Gaussian blur of 0.1 to 1.5 pixels.
        erase: Probability that one colour covers a rectangle of 2 to 10 % of the chip.
        jpeg: Probability that the chip is compressed as JPEG, of a quality of 40 to 95.
        resample: Probability that its crops are resized by another filter than the contract's.
    """

    zoom: float = 0.0
    shift: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    flip: bool = False
    light: float = 0.0
    tint: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    jpeg: float = 0.0
    resample: float = 0.0


def augment(chip: Image, amounts: Augmentation, random: np.random.Generator) -> Image:
    """Returns a changed copy of a chip, uint8 HWC BGR, of the same size."""
    chip = _warp(chip, amounts, random)
    if amounts.light or amounts.tint:
        chip = _relight(chip, amounts, random)
    if random.random() < amounts.blur:
        sigma = random.uniform(0.1, 1.5)
        chip = cv2.GaussianBlur(chip, (3, 3), sigma)  # type: ignore[assignment]
    if random.random() < amounts.erase:
        _erase(chip, random)
    return chip


def deliver(
    chip: Image, contract: Contract, amounts: Augmentation, random: np.random.Generator
) -> dict[str, Image]:
    """Cuts a chip into a model's crops as an app might: through JPEG, and resized by any filter.

    Args:
        chip: uint8 HWC BGR.
        contract: The model's.
        amounts: How likely JPEG and another filter are.
        random: What draws them.

    Returns:
        The crops by input name, uint8 HWC BGR. Those that the contract is to resize are larger.
    """
    if random.random() < amounts.jpeg:
        low, high = _JPEG_QUALITIES
        chip = distortions.as_jpeg(chip, int(random.integers(low, high + 1)))
    crops = contract.crop(chip)
    if random.random() < amounts.resample:
        others = [name for name in _RESIZES if name != contract.interpolation]
        resize = distortions.RESIZES[others[random.integers(len(others))]]
        return distortions.resized(crops, contract, resize)
    return crops


def _warp(chip: Image, amounts: Augmentation, random: np.random.Generator) -> Image:
    height, width = chip.shape[:2]
    scale = 1 + amounts.zoom * random.uniform(-1, 1)
    angle, shear = np.radians(np.array([amounts.rotate, amounts.shear]) * random.uniform(-1, 1, 2))
    mirror = -1 if amounts.flip and random.random() < 0.5 else 1
    linear = (
        scale
        * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        @ np.array([[mirror, np.tan(shear)], [0, 1]])
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    move = amounts.shift * random.uniform(-1, 1, 2) * (width, height)
    matrix = np.column_stack([linear, centre + move - linear @ centre])
    return cv2.warpAffine(  # type: ignore[return-value]
        chip, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _relight(chip: Image, amounts: Augmentation, random: np.random.Generator) -> Image:
    contrast = 1 + amounts.light * random.uniform(-1, 1)
    brightness = 255 * amounts.light * random.uniform(-1, 1)
    tint = 1 + amounts.tint * random.uniform(-1, 1, 3)
    levels = (np.arange(256)[:, np.newaxis] - 128) * contrast + 128 + brightness
    table = np.clip(levels * tint, 0, 255).astype(np.uint8)
    return cv2.LUT(chip, table[np.newaxis])  # type: ignore[return-value]


def _erase(chip: Image, random: np.random.Generator) -> None:
    height, width = chip.shape[:2]
    area, ratio = random.uniform(0.02, 0.1), np.exp(random.uniform(-1, 1))
    h, w = round(height * (area * ratio) ** 0.5), round(width * (area / ratio) ** 0.5)
    top, left = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
    chip[top : top + h, left : left + w] = random.integers(0, 256, 3)
