"""A labelled face: what every reader of a data set produces and everything after it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from agecompact.faces.framing import WHOLE, Framing

if TYPE_CHECKING:
    from agecompact.data.splits import Part

Target = Literal["age", "gender"]
GENDERS: Mapping[int | None, str] = {0: "female", 1: "male", None: "unknown"}


@dataclass(frozen=True)
class Label:
    """A data set's label of a face.

    Attributes:
        age: Years.
        gender: 0 female, 1 male, as in the models; None if the data set does not say.
        subject: Who the person is, if the data set says, for splits that keep people apart.
        part: The part of the data set's own split that the face is in, if it has one.
    """

    age: int
    gender: int | None = None
    subject: str | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Face:
    """A labelled image file.

    Attributes:
        name: Path inside the data set, POSIX, and the box if it has one; it identifies the face.
        path: The file.
        sha256: Hash of its bytes, and of its box if it has one (`faces.files.picture_hash`).
        label: Its label.
        framing: How its picture becomes a chip.
    """

    name: str
    path: Path
    sha256: str
    label: Label
    framing: Framing = WHOLE


_Item = TypeVar("_Item")


def spread(faces: Sequence[_Item], limit: int | None) -> Sequence[_Item]:
    """At most `limit` faces, evenly spread: the first ones may all be of one age, by their names.

    Args:
        faces: Faces, or records of a listing, sorted by name.
        limit: How many; None for all.
    """
    if limit is None or limit >= len(faces):
        return faces
    return [faces[i * len(faces) // limit] for i in range(limit)]


def target_of(label: Label, target: Target) -> int | None:
    """The value to learn: the age in years, or the gender, 0 female and 1 male."""
    return label.age if target == "age" else label.gender
