"""The published protocols for splitting each data set, as pure functions of its distinct faces.

The literature trains on one part and reports on another. Every protocol here also takes a
validation part out of the training part, so that nothing is ever chosen by the test faces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Protocol as Interface
from typing import TypeVar

from agecompact.data import splits
from agecompact.data.face import Face, Label
from agecompact.data.splits import BIN_YEARS, PARTS, Part, Split
from agecompact.errors import UsageError

Folds = Mapping[str, Split]

SINGLE = "single"

_TEST_FOLDER = "test/"
# 10 of the 80 that are not reported on.
_VALIDATION_SHARE = 1 / 8


class Labelled(Interface):
    """A face, or an entry of a listing whose picture has not been read yet."""

    @property
    def name(self) -> str:
        """Path inside the data set."""

    @property
    def label(self) -> Label:
        """Its label."""


_Labelled = TypeVar("_Labelled", bound=Labelled)


def one_fold(_: Iterable[Labelled]) -> tuple[str, ...]:
    """The fold's name in a protocol with a single split."""
    return (SINGLE,)


@dataclass(frozen=True)
class Protocol:
    """A way to split a data set.

    Attributes:
        id: The name used on the command line and in split files.
        folds: Maps distinct faces, in any order, and a seed to one split per fold, by the fold's
            name. A protocol with one split names it `SINGLE`.
        names: Maps entries to the names of the folds, so that a wrong name is refused before any
            picture is read. It raises a `UsageError` if the labels are not enough for the protocol.
        fits: Whether a label has what the protocol needs. The default protocol of a data set is its
            first that fits all labels.
    """

    id: str
    folds: Callable[[Sequence[Face], int], Folds]
    names: Callable[[Iterable[Labelled]], Sequence[str]] = one_fold
    fits: Callable[[Label], bool] = lambda _: True


def stratified(faces: Sequence[Face], seed: int) -> Folds:
    """70/10/20 at random within each 5-year bin of age."""
    return {SINGLE: splits.split(faces, seed=seed)}


def subject_disjoint(faces: Sequence[Face], seed: int) -> Folds:
    """70/10/20 of the pictures, no person in two parts, within 5-year bins of median age.

    Raises:
        UsageError: A face has no known person.
    """
    people = _by_person(faces)
    split = _split_by_person(people, splits.TRAIN_FRACTION, splits.TRAIN_VAL_FRACTION, seed)
    return {SINGLE: split}


def leave_one_person_out(faces: Sequence[Face], seed: int) -> Folds:
    """One fold per person, the test part; training and validation share no person either.

    Raises:
        UsageError: A face has no known person.
    """
    people = _by_person(faces)
    folds = {}
    for person, theirs in sorted(people.items()):
        others = {other: members for other, members in people.items() if other != person}
        rest = _split_by_person(others, 1 - _VALIDATION_SHARE, 1, seed)
        folds[person] = splits.of_parts({"train": rest.train, "val": rest.val, "test": theirs})
    return folds


def one_fold_of_people(entries: Iterable[Labelled]) -> tuple[str, ...]:
    """The fold's name in a protocol with a single split that keeps people apart.

    Raises:
        UsageError: An entry has no known person.
    """
    _by_person(entries)
    return (SINGLE,)


def fold_of_each_person(entries: Iterable[Labelled]) -> tuple[str, ...]:
    """The names of the folds of `leave_one_person_out`.

    Raises:
        UsageError: An entry has no known person.
    """
    return tuple(sorted(_by_person(entries)))


def published(faces: Sequence[Face], seed: int) -> Folds:
    """The data set's own test part; an eighth of its training part is for validation.

    A face is in the test part if its name begins with `test/`.
    Of near duplicates across parts, the survey keeps the first by name: the one in the test part.
    """
    test = [face for face in faces if face.name.startswith(_TEST_FOLDER)]
    others = (face for face in faces if not face.name.startswith(_TEST_FOLDER))
    rest = splits.split(others, 1 - _VALIDATION_SHARE, 1, seed=seed)
    return {SINGLE: splits.of_parts({"train": rest.train, "val": rest.val, "test": test})}


def own_split(faces: Sequence[Face], seed: int) -> Folds:  # noqa: ARG001 - nothing is random.
    """The parts that the data set's own labels name.

    Raises:
        UsageError: A face is in no part, or one person is in two.
    """
    one_fold_of_own_parts(faces)
    parts = {part: [face for face in faces if face.label.part == part] for part in PARTS}
    return {SINGLE: splits.of_parts(parts)}


def one_fold_of_own_parts(entries: Iterable[Labelled]) -> tuple[str, ...]:
    """The fold's name in a data set's own split.

    Raises:
        UsageError: An entry is in no part, or one person is in two.
    """
    parts: dict[str, tuple[Part, str]] = {}
    for entry in entries:
        part, person = entry.label.part, entry.label.subject
        if part is None:
            raise UsageError(
                "the data set has no split of its own",
                why=f"{entry.name} is in no part",
                fix="choose another protocol with --protocol",
            )
        if person is None:
            continue
        first, name = parts.setdefault(person, (part, entry.name))
        if first != part:
            raise UsageError(
                "the data set's own split has one person in two parts",
                why=f"{person} is in {first} ({name}) and in {part} ({entry.name})",
                fix="choose another split with --protocol subject-disjoint, or correct the labels",
            )
    return (SINGLE,)


def _by_person(faces: Iterable[_Labelled]) -> dict[str, list[_Labelled]]:
    people: dict[str, list[_Labelled]] = defaultdict(list)
    for face in faces:
        if face.label.subject is None:
            raise UsageError(
                "this protocol keeps people apart, but the data set does not name them",
                why=f"{face.name} has no known person",
                fix="choose another protocol with --protocol",
            )
        people[face.label.subject].append(face)
    return people


def _split_by_person(
    people: Mapping[str, Sequence[Face]], train: float, train_val: float, seed: int
) -> Split:
    """Like `splits.split`, but with whole people, binned by the median of their ages."""
    bins: dict[int, list[str]] = defaultdict(list)
    for person, theirs in people.items():
        bins[median_low(face.label.age for face in theirs) // BIN_YEARS].append(person)
    parts: dict[Part, list[Face]] = {part: [] for part in PARTS}
    for members in bins.values():
        total = sum(len(people[person]) for person in members)
        before = 0
        for person in sorted(members, key=lambda person: splits.rank(person, seed)):
            theirs = people[person]
            # The middle of a person's pictures decides their part.
            middle = (before + len(theirs) / 2) / total
            before += len(theirs)
            part: Part = "train" if middle < train else "val" if middle < train_val else "test"
            parts[part] += theirs
    return splits.of_parts(parts)
