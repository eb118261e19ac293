"""What became of each picture, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from agecompact.errors import AgecompactError
from agecompact.predict.predictor import Face
from agecompact.predict.sources import Picture

_NONE = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Result:
    """What became of a picture.

    Attributes:
        picture: The picture.
        faces: The faces in it, the largest first.
        error: Why it could not be read, or the models could not answer; else None.
    """

    picture: Picture
    faces: tuple[Face, ...] = ()
    error: AgecompactError | None = None

    @property
    def title(self) -> str:
        """Its name, and the time of a frame."""
        time_s = self.picture.time_s
        return self.picture.name if time_s is None else f"{self.picture.name} at {time_s:.2f} s"

    def without_pixels(self) -> Result:
        """The result alone: the pixels of many pictures would fill the memory."""
        return replace(self, picture=replace(self.picture, pixels=_NONE))

    def lines(self) -> Iterator[str]:
        """A line for each face, or one that says that there is none."""
        if not self.faces:
            yield f"{self.title}: no face found"
        for face in self.faces:
            box = face.box
            where = f" at {box.x},{box.y} {box.width}x{box.height}" if box else ""
            yield f"{self.title}{where}: {face.answers}"

    def as_json(self) -> dict[str, Any]:
        """As one object: with `faces`, or with `error`."""
        made: dict[str, Any] = {"image": self.picture.name}
        if self.picture.time_s is not None:
            made["time_s"] = self.picture.time_s
        if self.error is not None:
            return {**made, "error": self.error.summary}
        return {**made, "faces": [_face(face) for face in self.faces]}


def _face(face: Face) -> dict[str, Any]:
    answers = []
    for answer in face.answers.all:
        fields = asdict(answer)
        answers.append({**fields, "values": list(answer.values), "names": list(answer.names)})
    return {
        "box": asdict(face.box) if face.box else None,
        "score": face.score,
        "age_years": face.age_years,
        "gender_score": face.gender_score,
        "answers": answers,
    }
