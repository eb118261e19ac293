"""Face detection with cascades: Haar features in OpenCV, local binary patterns in scikit-image.

They find upright, frontal faces, as boxes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from agecompact.contract import Image
from agecompact.faces import cutting
from agecompact.faces.cutting import BoxGeometry
from agecompact.faces.detection import Detection, FaceBox

# Medians over 293 detections in 300 chips of UTKFace.
HAAR_GEOMETRY = BoxGeometry(1.015, 0.492, 0.405)
# Medians over 82 detections in 100 chips.
_LBP_GEOMETRY = BoxGeometry(0.98, 0.494, 0.416)

# Has the fewest false detections of OpenCV's frontal cascades, and as many true ones.
_HAAR = "haarcascade_frontalface_alt2.xml"
_HAAR_STEP, _LBP_STEP = 1.05, 1.1
_HAAR_NEIGHBOURS, _LBP_NEIGHBOURS = 5, 6
# scikit-image moves its window by this many pixels of the scaled picture: smaller steps find no
# more chips, and twice the false faces.
_LBP_STRIDE = 1.5
# Detections smaller than 1/24 of the picture's shorter side are rarely faces.
_MIN_FACE_SHARE = 24
_LEAST_PIXELS = 24
# Detection time grows with the number of pixels: 0.36 s at 512x512. In the data sets that need
# detection, faces fill much of the picture, and are found in a small copy as well.
_SMALL = 256


class Cascade:
    """A detector.

    Args:
        boxes: Finds boxes in an image of uint8 HWC BGR, not smaller than the second argument.
        geometry: Where the boxes are in chips.
    """

    def __init__(
        self, boxes: Callable[[Image, int], Iterable[FaceBox]], geometry: BoxGeometry
    ) -> None:
        self._boxes = boxes
        self._geometry = geometry
        # The cascades keep their state in one object.
        self._lock = threading.Lock()

    def find(self, image: Image) -> tuple[Detection, ...]:
        """See `detection.Detector`."""
        smallest = max(_LEAST_PIXELS, min(image.shape[:2]) // _MIN_FACE_SHARE)
        with self._lock:
            boxes = tuple(self._boxes(image, smallest))
        return tuple(map(Detection, sorted(boxes, key=lambda box: (-box.width, box.x, box.y))))

    def largest(self, image: Image) -> Detection | None:
        """See `detection.Detector`. Finds it in a small copy."""
        import cv2

        shrink = max(1.0, max(image.shape[:2]) / _SMALL)
        size = tuple(max(1, round(side / shrink)) for side in image.shape[1::-1])
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink > 1 else image
        found = self.find(np.asarray(small, np.uint8))
        if not found:
            return None
        box = found[0].box
        scaled = (round(v * shrink) for v in (box.x, box.y, box.width, box.height))
        return Detection(FaceBox(*scaled))

    def chip(self, image: Image, found: Detection) -> Image:
        """See `detection.Detector`."""
        return cutting.around(image, found.box, self._geometry)


@cache
def haar() -> Cascade:
    """OpenCV's Haar cascade; there is one for all threads."""
    import cv2

    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / _HAAR))

    def boxes(image: Image, smallest: int) -> Iterable[FaceBox]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        least = (smallest, smallest)
        found = cascade.detectMultiScale(grey, _HAAR_STEP, _HAAR_NEIGHBOURS, minSize=least)
        return (FaceBox(*(int(v) for v in box)) for box in found)

    return Cascade(boxes, HAAR_GEOMETRY)


@cache
def lbp() -> Cascade:
    """scikit-image's LBP cascade; there is one for all threads."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade as Classifier

    cascade = Classifier(lbp_frontal_face_cascade_filename())

    def boxes(image: Image, smallest: int) -> Iterable[FaceBox]:
        found = cascade.detect_multi_scale(
            img=np.ascontiguousarray(image[:, :, ::-1]),
            scale_factor=_LBP_STEP,
            step_ratio=_LBP_STRIDE,
            min_size=(smallest, smallest),
            max_size=image.shape[:2],
            min_neighbor_number=_LBP_NEIGHBOURS,
        )
        return (FaceBox(box["c"], box["r"], box["width"], box["height"]) for box in found)

    return Cascade(boxes, _LBP_GEOMETRY)
