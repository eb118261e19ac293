"""Cuts face chips out of pictures: by landmarks, by a detector's box, or by a labelled box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from agecompact.faces.detection import FaceBox, Landmarks

# Where UTKFace's chips have the eyes and the mouth, in sides of the chip: medians of what BlazeFace
# finds in 1,500 chips of the training part, whose edges were extended.
TEMPLATE = np.array([(0.305, 0.293), (0.697, 0.301), (0.495, 0.717)])
# A face of more pixels than any network reads is made smaller first, which bounds the memory.
_MOST_SIDE = 1024
_TINY = 1e-6


@dataclass(frozen=True)
class BoxGeometry:
    """Where chips of UTKFace are, relative to the boxes of a detector.

    Attributes:
        width: Width of the box, in sides of the chip.
        centre_x: Centre of the box, in sides of the chip from its left edge.
        centre_y: The same from its upper edge.
    """

    width: float
    centre_x: float
    centre_y: float


def aligned(image: Image, landmarks: Landmarks) -> Image:
    """Turns, scales and cuts a face so that its eyes and mouth are where UTKFace has them.

    The similarity transform is the least-squares one (Umeyama, 1991, equations 40 to 42).

    Args:
        image: uint8 HWC BGR.
        landmarks: Points of the face.

    Returns:
        uint8 HWC BGR, square, at the image's resolution, but at most 1024 pixels wide. Edge pixels
        repeat outside the image.
    """
    import cv2

    to_chip = similarity(landmarks)
    side = max(1, round(1 / max(float(np.hypot(*to_chip[:, 0])), _TINY)))
    if side > _MOST_SIDE:
        shrink = _MOST_SIDE / side
        height, width = (max(1, round(length * shrink)) for length in image.shape[:2])
        scales = np.array([image.shape[1] / width, image.shape[0] / height, 1.0])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image, to_chip, side = np.asarray(small, np.uint8), to_chip * scales, _MOST_SIDE
    # OpenCV counts from the centre of the first pixel, not from its edge.
    centred = to_chip * side
    centred[:, 2] += centred[:, :2].sum(axis=1) / 2 - 0.5
    cut = cv2.warpAffine(
        image, centred, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)


def similarity(landmarks: Landmarks) -> npt.NDArray[np.float64]:
    """The turn, scale and shift that takes landmarks to a chip of side 1, as a 2x3 matrix."""
    points = np.array([landmarks.left_eye, landmarks.right_eye, landmarks.mouth], np.float64)
    from_, to = points - points.mean(axis=0), TEMPLATE - TEMPLATE.mean(axis=0)
    power = max(float(np.square(from_).sum()), _TINY)
    along = float((from_ * to).sum()) / power
    across = float((from_[:, 0] * to[:, 1] - from_[:, 1] * to[:, 0]).sum()) / power
    turn = np.array([[along, -across], [across, along]])
    shift = TEMPLATE.mean(axis=0) - turn @ points.mean(axis=0)
    return np.hstack([turn, shift[:, None]])


def around(image: Image, box: FaceBox, geometry: BoxGeometry) -> Image:
    """Cuts out the chip at a detector's box: a square; edge pixels repeat outside the image.

    Args:
        image: uint8 HWC BGR.
        box: The face in it.
        geometry: Where the detector's boxes are in chips.

    Returns:
        uint8 HWC BGR, square, at the image's resolution.
    """
    import cv2

    side = max(1, round(box.width / geometry.width))
    left = round(box.x + box.width / 2 - geometry.centre_x * side)
    top = round(box.y + box.height / 2 - geometry.centre_y * side)
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
