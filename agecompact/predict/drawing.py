"""Draws boxes and ages into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Image
from agecompact.files import atomic_path

if TYPE_CHECKING:
    from agecompact.predict.predictor import Face

# BGR. White on this blue has a contrast of 7:1.
_INK, _GROUND = (255, 255, 255), (150, 75, 20)
_SUFFIX = ".jpg"


def drawn(image: Image, faces: Sequence[Face]) -> Image:
    """A copy of a picture with a box around each face, and what the models say above it.

    Args:
        image: uint8 HWC BGR.
        faces: The faces in it.
    """
    import cv2

    made = image.copy()
    height, width = made.shape[:2]
    line = max(1, round(max(height, width) / 400))
    scale, font = line / 2.5, cv2.FONT_HERSHEY_SIMPLEX
    for face in faces:
        box = face.box
        if box is not None:
            corners = (box.x, box.y), (box.x + box.width, box.y + box.height)
            cv2.rectangle(made, *corners, _GROUND, 2 * line)
        # OpenCV's fonts have ASCII only.
        text = str(face.answers).encode("ascii", "replace").decode()
        (wide, high), below = cv2.getTextSize(text, font, scale, line)
        left, top = (box.x, box.y) if box is not None else (0, high + below + 2 * line)
        left = min(max(0, left), max(0, width - wide))
        bottom = min(max(high + below, top), height - line)
        cv2.rectangle(
            made, (left, bottom - high - below), (left + wide, bottom + line), _GROUND, -1
        )
        cv2.putText(made, text, (left, bottom - below // 2), font, scale, _INK, line, cv2.LINE_AA)
    return made


def save(image: Image, path: Path) -> None:
    """Writes a picture as JPEG, atomically.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    import cv2

    content = cv2.imencode(_SUFFIX, image)[1]
    with atomic_path(path) as temporary:
        temporary.write_bytes(np.asarray(content).tobytes())


class Folder:
    """A folder of drawn pictures, each of which gets a name of its own.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def add(self, name: str, image: Image, faces: Sequence[Face]) -> Path:
        """Saves a picture with its faces drawn in, under its name, numbered if that is taken.

        Args:
            name: What the picture is called; the stem of its path becomes the name.
            image: uint8 HWC BGR.
            faces: The faces in it.

        Raises:
            OutputError: The folder cannot be written to, or the disk is full.
        """
        stem = Path(name).stem or "picture"
        free, number = stem, 1
        while free in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken.add(free)
        path = self._folder / f"{free}{_SUFFIX}"
        save(drawn(image, faces), path)
        return path
