"""Every protocol splits all faces, keeps people apart if it promises to, and ignores order."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import registry
from agecompact.data.face import Face
from agecompact.data.protocols import SINGLE, Protocol
from agecompact.data.splits import PARTS, Split
from agecompact.errors import UsageError
from tests.agecompact.data.synthetic import faces

_PROTOCOLS = [
    pytest.param(protocol, id=f"{spec.id}-{protocol.id}")
    for spec in registry.DATASETS.values()
    for protocol in spec.protocols
]
_PEOPLE = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), min_size=1, max_size=80)


def _album(people: Sequence[tuple[int, int]]) -> list[Face]:
    album = faces([age for age, _ in people], [str(person) for _, person in people], "train/")
    shown = faces([30, 40], ["10", "11"], "test/")
    return [_in_part(face) for face in album + shown]


def _in_part(face: Face) -> Face:
    """The face in a part of the data set's own split, the same for each person."""
    part = PARTS[int(face.label.subject or 0) % len(PARTS)]
    return replace(face, label=replace(face.label, part=part))


def _folds(dataset: str, protocol: str, album: Sequence[Face], seed: int = 1) -> dict[str, Split]:
    return dict(registry.get(dataset).protocol(protocol).folds(album, seed))


def _subjects(faces_: Sequence[Face]) -> set[str | None]:
    return {face.label.subject for face in faces_}


def _assert_people_stay_apart(split: Split) -> None:
    parts = [_subjects(split.part(part)) for part in PARTS]
    assert sum(map(len, parts)) == len(set.union(*parts))


@pytest.mark.parametrize("protocol", _PROTOCOLS)
@given(people=_PEOPLE, shuffler=st.randoms(use_true_random=False))
def test_every_fold_splits_all_faces_whatever_their_order(
    protocol: Protocol, people: list[tuple[int, int]], shuffler: random.Random
) -> None:
    album = _album(people)
    folds = protocol.folds(album, 7)
    for split in folds.values():
        together = [face.name for part in PARTS for face in split.part(part)]
        assert sorted(together) == sorted(face.name for face in album)
    shuffler.shuffle(album)
    assert protocol.folds(album, 7) == folds


@given(people=_PEOPLE)
def test_subject_disjoint_keeps_people_apart(people: list[tuple[int, int]]) -> None:
    _assert_people_stay_apart(_folds("morph2", "subject-disjoint", _album(people))[SINGLE])


def test_subject_disjoint_is_in_proportion() -> None:
    draw = random.Random(0)
    people = [(draw.randint(16, 60), person) for person in range(600) for _ in range(4)]
    split = _folds("morph2", "subject-disjoint", _album(people))[SINGLE]
    for part, share in zip(PARTS, (0.7, 0.1, 0.2), strict=True):
        assert len(split.part(part)) == pytest.approx(share * len(people), rel=0.1)


@given(people=_PEOPLE)
def test_each_fold_of_leave_one_person_out_tests_one_person(people: list[tuple[int, int]]) -> None:
    album = _album(people)
    folds = _folds("fgnet", "leave-one-person-out", album)
    assert set(folds) == _subjects(album)
    for person, split in folds.items():
        assert _subjects(split.test) == {person}
        _assert_people_stay_apart(split)
    tested = [face.name for split in folds.values() for face in split.test]
    assert sorted(tested) == sorted(face.name for face in album)


@given(people=_PEOPLE)
def test_the_published_test_part_is_kept(people: list[tuple[int, int]]) -> None:
    split = _folds("megaage", "published", _album(people))[SINGLE]
    assert {face.name for face in split.test} == {"test/0.jpg", "test/1.jpg"}


@pytest.mark.parametrize(
    ("dataset", "protocol"), [("morph2", "subject-disjoint"), ("fgnet", "leave-one-person-out")]
)
def test_unknown_people_cannot_be_kept_apart(dataset: str, protocol: str) -> None:
    with pytest.raises(UsageError, match=r"0\.jpg has no known person"):
        _folds(dataset, protocol, faces([30]))


def test_seeds_give_other_splits() -> None:
    album = _album([(age, age % 10) for age in range(80)])
    for protocol in (p.values[0] for p in _PROTOCOLS):
        if protocol.id == "own-split":
            continue
        assert protocol.folds(album, 1) != protocol.folds(album, 2)


def test_for_an_unknown_protocol_the_nearest_is_suggested() -> None:
    with pytest.raises(UsageError, match="did you mean 'subject-disjoint'"):
        registry.get("morph2").protocol("subject-disjunct")
    assert registry.get("utkface").protocol(None).id == "stratified"


# The split that a data set's own labels name.


@pytest.mark.parametrize("dataset", ["csv", "jsonl"])
def test_a_table_is_split_by_the_first_protocol_that_its_labels_allow(dataset: str) -> None:
    spec = registry.get(dataset)
    album = _album([(30, 1), (40, 2)])
    people = [replace(face, label=replace(face.label, part=None)) for face in album]
    nobody = [replace(face, label=replace(face.label, subject=None)) for face in people]
    chosen = [spec.protocol(None, entries).id for entries in (album, people, nobody)]
    assert chosen == ["own-split", "subject-disjoint", "stratified"]
    assert spec.protocol("stratified", album).id == "stratified"


@given(people=_PEOPLE)
def test_own_parts_are_kept(people: list[tuple[int, int]]) -> None:
    album = _album(people)
    split = _folds("csv", "own-split", album)[SINGLE]
    for part in PARTS:
        assert {face.name for face in split.part(part)} == {
            face.name for face in album if face.label.part == part
        }


def test_a_person_in_two_own_parts_is_refused() -> None:
    album = _album([(30, 1), (31, 1), (40, 2)])
    moved = replace(album[1], label=replace(album[1].label, part="test"))
    protocol = registry.get("csv").protocol("own-split")
    for check in (protocol.names, lambda entries: protocol.folds(entries, 1)):
        with pytest.raises(UsageError, match="one person in two parts") as refused:
            check([album[0], moved, album[2]])
        assert refused.value.why == "1 is in val (train/0.jpg) and in test (train/1.jpg)"


def test_a_face_in_no_own_part_is_refused() -> None:
    with pytest.raises(UsageError, match="no split of its own"):
        _folds("csv", "own-split", faces([30]))
