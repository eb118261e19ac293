"""A split as a file: who is in which part, by which protocol, and what was dropped before.

The file names faces; their pictures stay where they are. It tells two hashes: of the names in their
parts, which the cards of weights repeat, and of the pictures' bytes, so that a split is never read
onto other pictures of the same names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from agecompact.data import splits
from agecompact.data.face import Target
from agecompact.data.splits import PARTS, Part, Split
from agecompact.data.survey import Survey
from agecompact.errors import UsageError
from agecompact.files import pretty_json, read_json, write_text

SCHEMA_VERSION = 1

_WHAT = "split file"
_MAKE = "write it anew with 'agecompact data split'"
_SHOWN = 3


@dataclass(frozen=True)
class SplitFile:
    """A split, and how it was made.

    Attributes:
        dataset: Key of `registry.DATASETS`.
        target: What the labels of one picture had to agree on.
        protocol: Id of a protocol of the data set.
        fold: Name of the fold, `protocols.SINGLE` where there is one.
        seed: Of the protocol.
        parts: Names of faces, sorted, by part.
        counts: `Survey.counts` of the data set.
        sha256: `Split.sha256`.
        contents_sha256: `contents_hash` of the split.
    """

    dataset: str
    target: Target
    protocol: str
    fold: str
    seed: int
    parts: Mapping[Part, tuple[str, ...]]
    counts: Mapping[str, int]
    sha256: str
    contents_sha256: str

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": self.dataset,
            "target": self.target,
            "protocol": self.protocol,
            "fold": self.fold,
            "seed": self.seed,
            "parts": {part: list(self.parts[part]) for part in PARTS},
            "counts": dict(self.counts),
            "sha256": self.sha256,
            "contents_sha256": self.contents_sha256,
        }


def contents_hash(split: Split) -> str:
    """Hash of the sorted hashes of all faces' bytes."""
    hashes = sorted(face.sha256 for part in PARTS for face in split.part(part))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def of_split(split: Split, survey: Survey, *, protocol: str, fold: str, seed: int) -> SplitFile:
    """What the file of a split says."""
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


def write(path: Path, content: SplitFile) -> None:
    """Writes a split file whole or not at all.

    Raises:
        OutputError: The place cannot be written to or is full.
    """
    write_text(path, pretty_json(content.to_json()))


def read(path: Path) -> SplitFile:
    """Reads a split file and checks what can be checked without the pictures.

    Raises:
        UsageError: It is missing, broken, of another version, changed by hand, or a face is in it
            twice.
    """
    return parse(read_json(path, what=_WHAT), str(path))


def parse(value: Mapping[str, Any], source: str) -> SplitFile:
    """Checks the content of a split file.

    Args:
        value: The JSON object.
        source: Where it comes from, for the error message.

    Raises:
        UsageError: As `read`.
    """
    version = value.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise _broken(source, f"its schema version is {version!r}, not {SCHEMA_VERSION}")
    texts = ("dataset", "target", "protocol", "fold", "sha256", "contents_sha256")
    for key in texts:
        if not isinstance(value.get(key), str):
            raise _broken(source, f"'{key}' is no text")
    if value["target"] not in get_args(Target):
        raise _broken(source, f"its target is '{value['target']}', not age or gender")
    seed, parts, counts = (value.get(key) for key in ("seed", "parts", "counts"))
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise _broken(source, "'seed' is no whole number")
    if not isinstance(counts, dict) or not all(type(n) is int for n in counts.values()):
        raise _broken(source, "'counts' is no object of whole numbers")
    if not isinstance(parts, dict) or set(parts) != set(PARTS):
        raise _broken(source, f"'parts' is no object of {', '.join(PARTS)}")
    for part in PARTS:
        names = parts[part]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _broken(source, f"part '{part}' is no list of names")
    places = Counter(name for part in PARTS for name in parts[part])
    if twice := [name for name, count in places.items() if count > 1]:
        raise _broken(source, f"{len(twice)} faces are in it twice: {_some(twice)}")
    if splits.hash_of(parts) != value["sha256"]:
        raise _broken(source, "its parts do not have the hash that it tells")
    return SplitFile(
        **{key: value[key] for key in texts},
        seed=seed,
        parts={part: tuple(parts[part]) for part in PARTS},
        counts=dict(counts),
    )


def resolve(content: SplitFile, survey: Survey, source: str) -> Split:
    """The split that a file names, of the faces of a survey.

    Args:
        content: The file's content.
        survey: The data set that it should be of.
        source: Where it comes from, for the error message.

    Raises:
        UsageError: It is of another data set or target, names a face that is not there or was
            dropped, or the pictures are not those that it was made of.
    """
    for what, theirs, ours in (
        ("data set", content.dataset, survey.dataset),
        ("target", content.target, survey.target),
    ):
        if theirs != ours:
            raise _broken(source, f"its {what} is '{theirs}', not '{ours}'")
    faces = {face.name: face for face in survey.faces}
    named = [name for part in PARTS for name in content.parts[part]]
    if absent := [name for name in named if name not in faces]:
        dropped = {name: why for why, names in survey.dropped.items() for name in names}
        shown = [f"{name} ({dropped.get(name, 'no such file')})" for name in absent[:_SHOWN]]
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise UsageError(
            f"{len(absent)} faces of {source} are not in the data",
            why=", ".join(shown) + more,
            fix=f"name the folder that the split was made of with --data, or {_MAKE}",
        )
    split = splits.of_parts({p: [faces[name] for name in content.parts[p]] for p in PARTS})
    if contents_hash(split) != content.contents_sha256:
        raise UsageError(
            f"{source} was made of other pictures",
            why="the files have the names that it tells, and other bytes",
            fix=f"name the folder that the split was made of with --data, or {_MAKE}",
        )
    return split


def _broken(source: str, why: str) -> UsageError:
    return UsageError(f"cannot use {_WHAT} {source}", why=why, fix=_MAKE)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
