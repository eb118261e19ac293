"""Cuts 200x200 face chips, framed as in UTKFace, out of a data set's pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agecompact.contract import Image
from agecompact.faces import detection

CHIP_SIDE = 200

# Detection time grows with the number of pixels: 0.36 s at 512x512. In the data sets that need
# detection, faces fill much of the picture, and are found in a small copy as well.
_DETECTION_SIDE = 256


@dataclass(frozen=True)
class Framing:
    """How the pictures of a data set become chips.

    Attributes:
        kind: The chip is the `whole` picture, the picture without a `border`, or the largest face
            that the detector finds (`detect`).
        border: Pixels that `border` removes from each side.
    """

    kind: Literal["whole", "border", "detect"] = "whole"
    border: int = 0

    @property
    def key(self) -> str:
        """A text that identifies the framing, for the names of cached files."""
        return f"{self.kind}{self.border or ''}"


WHOLE = Framing()


def frame(image: Image, framing: Framing) -> Image | None:
    """Cuts the chip out of a picture, and resamples it by area unless it is 200x200 already.

    Args:
        image: uint8 HWC BGR.
        framing: How to cut it.

    Returns:
        uint8 `(200, 200, 3)` BGR; None if there is no face to frame.
    """
    import cv2

    chip = _cut(image, framing)
    if chip is None or not chip.size:
        return None
    if chip.shape[:2] == (CHIP_SIDE, CHIP_SIDE):
        return chip
    resized = cv2.resize(chip, (CHIP_SIDE, CHIP_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def _cut(image: Image, framing: Framing) -> Image | None:
    if framing.kind == "border":
        edge = framing.border
        height, width = image.shape[:2]
        return np.ascontiguousarray(image[edge : height - edge, edge : width - edge])
    if framing.kind == "detect":
        box = _largest_face(image)
        return None if box is None else detection.chip(image, box)
    return image


def _largest_face(image: Image) -> detection.FaceBox | None:
    import cv2

    shrink = max(1.0, max(image.shape[:2]) / _DETECTION_SIDE)
    size = tuple(max(1, round(side / shrink)) for side in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink > 1 else image
    boxes = detection.detect(np.asarray(small, np.uint8))
    if not boxes:
        return None
    box = boxes[0]
    return detection.FaceBox(*(round(v * shrink) for v in (box.x, box.y, box.width, box.height)))
