"""Cuts 200x200 face chips, framed as in UTKFace, out of a data set's pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from agecompact.contract import Image
from agecompact.faces import cutting, detection
from agecompact.faces.detection import FaceBox

CHIP_SIDE = 200


@dataclass(frozen=True)
class Framing:
    """How the pictures of a data set become chips.

    Attributes:
        kind: The chip is the `whole` picture, the picture without a `border`, the largest face that
            the detector finds (`detect`), or the square around a labelled `box`.
        border: Pixels that `border` removes from each side.
        box: The region of `box`; None for the other kinds.
        detector: Name of the detector of `detect`; None for the default one.
    """

    kind: Literal["whole", "border", "detect", "box"] = "whole"
    border: int = 0
    box: FaceBox | None = None
    detector: str | None = None

    @property
    def key(self) -> str:
        """A text that identifies the framing, for the names of cached files.

        Boxes share one: `faces.files.picture_hash` tells them apart.
        """
        if self.kind == "detect":
            return f"detect-{self.detector or detection.default().name}"
        return f"{self.kind}{self.border or ''}"


WHOLE = Framing()
DETECT = Framing("detect")


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
        finder = detection.detector(framing.detector)
        found = finder.largest(image)
        return None if found is None else finder.chip(image, found)
    if framing.box is not None:
        return cutting.square(image, framing.box)
    return image
