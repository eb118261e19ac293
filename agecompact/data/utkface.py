"""UTKFace: a folder of 200x200 face chips whose names are their labels (Zhang et al., CVPR 2017).

The published folder holds hundreds of groups of byte-identical files, and over half of those groups
have different ages. They are resolved here, before any split can scatter them over its parts.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from agecompact.contract import Image
from agecompact.errors import UsageError

NAME = "UTKFace"
TERMS = "UTKFace: non-commercial research use only"

Target = Literal["age", "gender"]

_MAXIMUM_AGE = 120
# Only the head of the name is read: published names lack the race, the dot before "jpg", or hold a
# space, all of it behind the second underscore.
_LABEL = re.compile(r"(\d{1,3})_(\d?)_.*\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """What a file name says.

    Attributes:
        age: Years.
        gender: 0 male, 1 female, as UTKFace has it; None where the name does not say.
    """

    age: int
    gender: int | None


@dataclass(frozen=True)
class Face:
    """One image, not decoded.

    Attributes:
        path: The file.
        sha256: Hash of its bytes.
        label: What its name says.
    """

    path: Path
    sha256: str
    label: Label

    @property
    def name(self) -> str:
        """The file's name, which identifies the face within the data set."""
        return self.path.name


@dataclass(frozen=True)
class Survey:
    """A folder, read and deduplicated.

    Attributes:
        faces: One face a distinct image, sorted by name.
        files: How many files the folder holds.
        unlabelled: Files whose name does not tell the target.
        duplicates: Files dropped because another with the same bytes was kept.
        conflicting: Files dropped because files with the same bytes tell different targets.
    """

    faces: tuple[Face, ...]
    files: int
    unlabelled: int
    duplicates: int
    conflicting: int


def parse_name(name: str) -> Label | None:
    """Reads the label `[age]_[gender]_[race]_[date]….jpg` out of a file name.

    Returns:
        The label, or None if the name is not UTKFace's.
    """
    match = _LABEL.fullmatch(name)
    if not match or int(match[1]) > _MAXIMUM_AGE:
        return None
    return Label(int(match[1]), int(match[2]) if match[2] in ("0", "1") else None)


def target_of(label: Label, target: Target) -> int | None:
    """The value to learn: the age in years, or the gender as the models have it, 0 female, 1 male.

    UTKFace's own gender is the other way round.
    """
    if target == "age":
        return label.age
    return None if label.gender is None else 1 - label.gender


def read(folder: Path, target: Target = "age") -> Survey:
    """Reads the labels and hashes of a folder; decodes nothing.

    Args:
        folder: Where the files lie, without subfolders.
        target: What must be known of a face, and agreed on by identical files.

    Raises:
        UsageError: No such folder, or no labelled image in it.
    """
    if not folder.is_dir():
        raise UsageError(
            f"no data at {folder}", fix="name the UTKFace folder with --data or AGECOMPACT_DATA"
        )
    groups: dict[str, list[Face]] = defaultdict(list)
    files = unlabelled = 0
    for path in sorted(folder.iterdir()):
        files += 1
        label = parse_name(path.name)
        if label is None or target_of(label, target) is None:
            unlabelled += 1
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        groups[sha256].append(Face(path, sha256, label))
    kept = [g[0] for g in groups.values() if len({target_of(f.label, target) for f in g}) == 1]
    if not kept:
        raise UsageError(
            f"no face in {folder}",
            why=f"{files} files, none named [age]_[gender]_[race]_[date].jpg",
        )
    agreeing = {face.sha256 for face in kept}
    conflicting = sum(len(group) for sha256, group in groups.items() if sha256 not in agreeing)
    return Survey(
        faces=tuple(sorted(kept, key=lambda face: face.name)),
        files=files,
        unlabelled=unlabelled,
        duplicates=files - unlabelled - conflicting - len(kept),
        conflicting=conflicting,
    )


def decode(face: Face) -> Image | None:
    """The chip, uint8 HWC BGR, or None if the file is no image."""
    # A grayscale file comes as three equal channels.
    return cv2.imread(str(face.path), cv2.IMREAD_COLOR)  # type: ignore[return-value]
