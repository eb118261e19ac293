"""A split as a file: which face is in which part, the protocol, and how many files were dropped.

The file names faces and holds no pictures. It carries two hashes: one of the names in their parts,
which is also on the cards of weights, and one of the pictures' bytes, so that a split is never
applied to other pictures of the same names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agecompact.data import splits
from agecompact.data.face import Target
from agecompact.data.splits import PARTS, Part, Split
from agecompact.data.survey import Survey
from agecompact.errors import UsageError
from agecompact.serialization import read_versioned

_WHAT = "split file"
_MAKE = "write it again with: agecompact data split"
_SHOWN = 3


@dataclass(frozen=True)
class SplitFile:
    """A split, and how it was made.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        target: What the labels of one picture had to agree on.
        protocol: Id of a protocol of the data set.
        fold: Name of the fold, `protocols.SINGLE` if the protocol has only one.
        seed: Seed of the protocol.
        parts: Sorted names of the faces in each part.
        counts: `Survey.counts` of the data set.
        sha256: `Split.sha256`.
        contents_sha256: `contents_hash` of the split.

    Raises:
        ValueError: A part is missing, a face is listed twice, or the hash is not that of the parts.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    dataset: str
    target: Target
    protocol: str
    fold: str
    seed: int
    parts: Mapping[Part, tuple[str, ...]]
    counts: Mapping[str, int]
    sha256: str
    contents_sha256: str

    def __post_init__(self) -> None:
        if set(self.parts) != set(PARTS):
            raise ValueError(f"'parts' must have {', '.join(PARTS)}")
        places = Counter(name for names in self.parts.values() for name in names)
        if twice := [name for name, count in places.items() if count > 1]:
            raise ValueError(f"{len(twice)} faces are listed twice: {_some(twice)}")
        if splits.hash_of(self.parts) != self.sha256:
            raise ValueError("'sha256' is not the hash of its parts: the file was changed")


def contents_hash(split: Split) -> str:
    """Hash of the sorted hashes of all files in a split."""
    hashes = sorted(face.sha256 for part in PARTS for face in split.part(part))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def of_split(split: Split, survey: Survey, *, protocol: str, fold: str, seed: int) -> SplitFile:
    """The content of a split's file; `serialization.write_versioned` writes it."""
    return SplitFile(
        dataset=survey.dataset,
        target=survey.target,
        protocol=protocol,
        fold=fold,
        seed=seed,
        parts={part: tuple(face.name for face in split.part(part)) for part in PARTS},
        counts=survey.counts,
        sha256=split.sha256,
        contents_sha256=contents_hash(split),
    )


def read(path: Path) -> SplitFile:
    """Reads a split file and checks what can be checked without the pictures.

    Raises:
        UsageError: The file is missing, broken, of another version, or was changed.
    """
    return read_versioned(path, SplitFile, what=_WHAT, fix=_MAKE)


def check(content: SplitFile, dataset: str, target: Target, source: str) -> None:
    """Checks what can be checked before the pictures are read.

    Args:
        content: The file's content.
        dataset: Key of `registry.DATASETS`.
        target: The label that a face needs.
        source: The file's name, for the error message.

    Raises:
        UsageError: The file is for another data set or target.
    """
    for what, theirs, ours in (
        ("data set", content.dataset, dataset),
        ("target", content.target, target),
    ):
        if theirs != ours:
            why = f"its {what} is '{theirs}', not '{ours}'"
            raise UsageError(f"cannot use {_WHAT} {source}", why=why, fix=_MAKE)


def resolve(content: SplitFile, survey: Survey, source: str) -> Split:
    """The split that a file describes, with the faces of a survey.

    Args:
        content: The file's content.
        survey: The data set.
        source: The file's name, for the error message.

    Raises:
        UsageError: The file is for another data set or target, names a face that is missing or was
            dropped, or was made from other pictures.
    """
    check(content, survey.dataset, survey.target, source)
    faces = {face.name: face for face in survey.faces}
    named = [name for part in PARTS for name in content.parts[part]]
    folder = f"give the folder that the split was made from with --data, or {_MAKE}"
    if absent := [name for name in named if name not in faces]:
        reasons = {name: reason for reason, names in survey.dropped.items() for name in names}
        shown = [f"{name} ({reasons.get(name, 'no such file')})" for name in absent]
        raise UsageError(
            f"{len(absent)} faces of {source} are not in the data", why=_some(shown), fix=folder
        )
    split = splits.of_parts({p: [faces[name] for name in content.parts[p]] for p in PARTS})
    if contents_hash(split) != content.contents_sha256:
        raise UsageError(
            f"{source} was made from other pictures",
            why="the files have the same names, but different bytes",
            fix=folder,
        )
    return split


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
