"""Face detection with OpenCV's cascade, and chips framed as in UTKFace."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Image

if TYPE_CHECKING:
    import cv2

# Position of UTKFace's chips relative to the cascade's box: medians over 293 detections in 300 of
# its images.
_BOX_PER_CHIP = 1.015
BOX_CENTRE_X = 0.492
BOX_CENTRE_Y = 0.405

# Has the fewest false detections of OpenCV's frontal cascades, and as many true ones.
_CASCADE = "haarcascade_frontalface_alt2.xml"
_SCALE_STEP = 1.05
_MIN_NEIGHBOURS = 5
# Detections smaller than 1/24 of the picture's shorter side are rarely faces.
_MIN_FACE_SHARE = 24
# The detector keeps its state in one object, and chips are cut in many threads.
_DETECTING = threading.Lock()


@dataclass(frozen=True)
class FaceBox:
    """A face in an image, detected or labelled, in pixels of the image."""

    x: int
    y: int
    width: int
    height: int


def detect(image: Image) -> tuple[FaceBox, ...]:
    """Finds frontal faces, the largest first.

    Args:
        image: uint8 HWC BGR.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    smallest = max(24, min(grey.shape) // _MIN_FACE_SHARE)
    with _DETECTING:
        found = _cascade().detectMultiScale(
            grey, _SCALE_STEP, _MIN_NEIGHBOURS, minSize=(smallest, smallest)
        )
    boxes = (FaceBox(*(int(v) for v in box)) for box in found)
    return tuple(sorted(boxes, key=lambda box: (-box.width, box.x, box.y)))


def chip(image: Image, box: FaceBox) -> Image:
    """Cuts out a face framed as in UTKFace: a square; edge pixels repeat outside the image.

    Args:
        image: uint8 HWC BGR.
        box: The face in it.

    Returns:
        uint8 HWC BGR, square, at the image's resolution.
    """
    import cv2

    side = max(1, round(box.width / _BOX_PER_CHIP))
    left = round(box.x + box.width / 2 - BOX_CENTRE_X * side)
    top = round(box.y + box.height / 2 - BOX_CENTRE_Y * side)
    height, width = image.shape[:2]
    margins = (-top, top + side - height, -left, left + side - width)
    above, below, before, after = (max(0, margin) for margin in margins)
    padded = cv2.copyMakeBorder(image, above, below, before, after, cv2.BORDER_REPLICATE)
    return np.asarray(padded[top + above :, left + before :][:side, :side], np.uint8)


def square(image: Image, box: FaceBox) -> Image | None:
    """Cuts out the smallest square around a labelled box, with the box in its middle.

    Edge pixels repeat outside the image.

    Args:
        image: uint8 HWC BGR.
        box: The region to cut out.

    Returns:
        uint8 HWC BGR, square, at the image's resolution; None if less than half of the square is
        inside the image, which bounds its size as well.
    """
    side = max(box.width, box.height)
    left, top = (box.x + (box.width - side) // 2, box.y + (box.height - side) // 2)
    inside = [
        max(0, min(start + side, length) - max(start, 0))
        for start, length in ((top, image.shape[0]), (left, image.shape[1]))
    ]
    if side < 1 or 2 * inside[0] * inside[1] < side * side:
        return None
    rows, columns = (
        np.clip(np.arange(start, start + side), 0, length - 1)
        for start, length in ((top, image.shape[0]), (left, image.shape[1]))
    )
    return np.ascontiguousarray(image[rows[:, None], columns])


@cache
def _cascade() -> cv2.CascadeClassifier:
    import cv2

    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / _CASCADE))
