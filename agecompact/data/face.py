"""One labelled face: what every reader of a data set gives and everything after it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.faces.framing import WHOLE, Framing

Target = Literal["age", "gender"]


@dataclass(frozen=True)
class Label:
    """What a data set says of a face.

    Attributes:
        age: Years.
        gender: 0 female, 1 male, as the models have it; None where the data set does not say.
        subject: Who it is, where the data set says, for splits that keep people apart.
    """

    age: int
    gender: int | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Face:
    """One image, not decoded.

    Attributes:
        name: Path inside the data set, POSIX, which identifies the face there.
        path: The file.
        sha256: Hash of its bytes.
        label: What the data set says of it.
        framing: How the file's picture becomes a chip.
    """

    name: str
    path: Path
    sha256: str
    label: Label
    framing: Framing = WHOLE


def target_of(label: Label, target: Target) -> int | None:
    """The value to learn: the age in years, or the gender, 0 female and 1 male."""
    return label.age if target == "age" else label.gender
