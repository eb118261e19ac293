"""The golden images: a photo in the public domain, face chips cut from it, and a pattern.

They are pictures before any preprocessing, of sizes that catch what a square of a round size does
not: odd and unequal sides, sides smaller than the network's input, and whole multiples of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.faces.cutting import aligned
from agecompact.faces.detection import Landmarks

# What BlazeFace finds: constants, so that the images do not depend on a detector.
_LANDMARKS = Landmarks((204.47, 100.62), (247.61, 104.79), (222.09, 149.33))
# Each channel's brightness in the dark picture: blue, green, red.
_DIMMED = (0.45, 0.6, 0.8)
_PATTERN = (199, 301)


@dataclass(frozen=True)
class GoldenImage:
    """A picture of a golden test.

    Attributes:
        name: Its file name without the suffix.
        shows: What it is there for, for people.
        pixels: uint8 HWC BGR.
        landmarks: The face in it; None if the picture is a chip.
    """

    name: str
    shows: str
    pixels: Image
    landmarks: Landmarks | None = None

    @property
    def chip(self) -> Image:
        """The face chip: the picture itself, or what its landmarks cut out of it."""
        return self.pixels if self.landmarks is None else aligned(self.pixels, self.landmarks)


def golden_images(contract: Contract) -> tuple[GoldenImage, ...]:
    """The golden images for a contract, the same on every machine.

    Args:
        contract: Its size decides what is small, exact and double.
    """
    import cv2
    from skimage import data

    photo = np.ascontiguousarray(data.astronaut()[..., ::-1])
    chip = aligned(photo, _LANDMARKS)

    def sized(width: int, height: int, filter_: int) -> Image:
        return np.asarray(cv2.resize(chip, (width, height), interpolation=filter_), np.uint8)

    width, height = contract.width, contract.height
    dark = np.rint(sized(333, 333, cv2.INTER_CUBIC)[:, ::-1] * np.array(_DIMMED)).astype(np.uint8)
    small = max(width * 2 // 3, 1) | 1, max(height * 3 // 5, 1) | 1
    return (
        GoldenImage("photo", "a whole photo, with its eyes and mouth", photo, _LANDMARKS),
        GoldenImage("chip", "the face chip of the photo", chip),
        GoldenImage("wide", "odd and unequal sides", np.ascontiguousarray(photo[60:211, 120:323])),
        GoldenImage("small", "smaller than the input", sized(*small, cv2.INTER_AREA)),
        GoldenImage("exact", "as large as the input", sized(width, height, cv2.INTER_AREA)),
        GoldenImage("double", "twice the input", sized(2 * width, 2 * height, cv2.INTER_CUBIC)),
        GoldenImage("dark", "another face in another light", dark),
        GoldenImage("pattern", "no face: fine detail, which tells filters apart", _pattern()),
    )


def _pattern() -> Image:
    """Blocks of colours with fine stripes on them."""
    height, width = _PATTERN
    random = np.random.default_rng(20_180_713)
    blocks = random.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3))
    coarse = blocks.repeat(20, axis=0).repeat(20, axis=1)[:height, :width]
    rows, columns = np.indices(_PATTERN)
    stripes = np.where((rows // 2 + columns // 3) % 2, 60, -60)[..., np.newaxis]
    return np.clip(coarse + stripes, 0, 255).astype(np.uint8)
