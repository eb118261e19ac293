"""The split of a data set: 70 % for training, 10 % for validation, 20 % for testing.

A face's part depends on its bytes and the seed only, not on the order in which files were listed,
so two machines agree. The split's hash is on the card of every released weights file.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from agecompact.data.face import Face
from agecompact.files import canonical_json

SEED = 42
BIN_YEARS = 5

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
TRAIN_FRACTION = 0.7
TRAIN_VAL_FRACTION = 0.8


@dataclass(frozen=True)
class Split:
    """Three disjoint parts, each sorted by file name.

    Attributes:
        train: Faces to learn from.
        val: Faces to choose epochs and settings by.
        test: Faces to report figures on.
    """

    train: tuple[Face, ...]
    val: tuple[Face, ...]
    test: tuple[Face, ...]

    def part(self, name: Part) -> tuple[Face, ...]:
        """The faces of a part."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    @property
    def sha256(self) -> str:
        """Hash of the sorted file names in each part: equal hashes mean equal splits."""
        return hash_of({part: [face.name for face in self.part(part)] for part in PARTS})


def hash_of(names: Mapping[Part, Sequence[str]]) -> str:
    """`Split.sha256`, from the sorted names of each part."""
    lists = {part: list(names[part]) for part in PARTS}
    return hashlib.sha256(canonical_json(lists).encode()).hexdigest()


def split(
    faces: Iterable[Face],
    train: float = TRAIN_FRACTION,
    train_val: float = TRAIN_VAL_FRACTION,
    *,
    seed: int = SEED,
) -> Split:
    """Splits distinct faces within each 5-year bin of age, 70/10/20 by default.

    Args:
        faces: Faces with different bytes, in any order.
        train: Fraction for training.
        train_val: Fraction for training and validation together.
        seed: Another seed gives another split.
    """
    bins: dict[int, list[Face]] = defaultdict(list)
    for face in faces:
        bins[face.label.age // BIN_YEARS].append(face)
    parts: dict[Part, list[Face]] = {part: [] for part in PARTS}
    for members in bins.values():
        members.sort(key=lambda face: rank(face.sha256, seed))
        first, second = (round(len(members) * fraction) for fraction in (train, train_val))
        parts["train"] += members[:first]
        parts["val"] += members[first:second]
        parts["test"] += members[second:]
    return of_parts(parts)


def of_parts(parts: Mapping[Part, Iterable[Face]]) -> Split:
    """The split with these parts, each sorted by file name."""
    return Split(
        **{part: tuple(sorted(parts.get(part, ()), key=lambda f: f.name)) for part in PARTS}
    )


def rank(key: str, seed: int) -> bytes:
    """A sort key that depends on the text and the seed only: it shuffles reproducibly."""
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()
