"""Pictures of faces to measure on, with a label or without."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact.contract import Image
from agecompact.data.face import Face, Target, target_of
from agecompact.errors import UsageError
from agecompact.faces.files import read_chip
from agecompact.faces.framing import WHOLE, Framing
from agecompact.files import canonical_json


@dataclass(frozen=True)
class Picture:
    """A picture of a face.

    Attributes:
        path: Its file.
        framing: How it becomes a chip.
        sha256: `faces.files.picture_hash`.
        truth: Its label, a number in the unit of the answer; None if it has none.
    """

    path: Path
    framing: Framing
    sha256: str
    truth: float | None = None

    def chip(self) -> Image:
        """Its chip, uint8 `(200, 200, 3)` BGR.

        Raises:
            UsageError: The file is no longer the one that was found.
        """
        chip = read_chip(self.path, self.framing).chip
        if chip is None:
            raise UsageError(f"{self.path} has changed since the run began", fix="run it again")
        return chip


def labelled(faces: Iterable[Face], target: Target) -> tuple[Picture, ...]:
    """Faces of a data set, which all have the label."""
    return tuple(
        Picture(face.path, face.framing, face.sha256, target_of(face.label, target))
        for face in faces
    )


def unlabelled(paths: Iterable[Path]) -> tuple[Picture, ...]:
    """Face chips without labels; files that cannot be read are left out.

    Raises:
        UsageError: None can be read.
    """
    read = [(path, read_chip(path, WHOLE)) for path in paths]
    found = tuple(Picture(path, WHOLE, each.sha256) for path, each in read if each.chip is not None)
    if not found:
        raise UsageError(
            "none of the images can be read",
            why=f"they are {', '.join(sorted({each.state for _, each in read}))}",
            fix="name a folder of square pictures of faces with --images",
        )
    return found


def hash_of(pictures: Sequence[Picture]) -> str:
    """SHA-256 of pictures in their order: of content, framing and labels."""
    faces = [[each.sha256, each.framing.key, each.truth] for each in pictures]
    return hashlib.sha256(canonical_json(faces).encode()).hexdigest()
