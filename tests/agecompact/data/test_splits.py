"""What a split promises: disjoint, whole, in proportion, and the same for everyone."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data.splits import PARTS, split
from agecompact.data.utkface import Face, Label, read


def _faces(ages: list[int]) -> list[Face]:
    return [
        Face(Path(f"{age}_0_0_{i}.jpg"), f"{i:064x}", Label(age, 0)) for i, age in enumerate(ages)
    ]


_AGES = st.lists(st.integers(0, 116), min_size=1, max_size=300)


@given(_AGES)
def test_every_face_is_in_one_part(ages: list[int]) -> None:
    faces = _faces(ages)
    parts = split(faces)
    together = [face.sha256 for part in PARTS for face in parts.part(part)]
    assert sorted(together) == sorted(face.sha256 for face in faces)


@given(_AGES)
def test_each_age_bin_is_split_in_proportion(ages: list[int]) -> None:
    parts = split(_faces(ages))
    for first in range(0, 120, 5):
        counts = [
            sum(first <= face.label.age < first + 5 for face in parts.part(part)) for part in PARTS
        ]
        for count, share in zip(counts, (0.7, 0.1, 0.2), strict=True):
            assert abs(count - share * sum(counts)) <= 1


@given(_AGES, st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(ages: list[int], shuffler: random.Random) -> None:
    faces = _faces(ages)
    shuffled = faces.copy()
    shuffler.shuffle(shuffled)
    assert split(shuffled) == split(faces)
    assert split(shuffled).sha256 == split(faces).sha256


def test_another_seed_gives_another_split() -> None:
    faces = _faces([30] * 100)
    assert split(faces, seed=1).sha256 != split(faces, seed=2).sha256


def test_the_hash_tells_which_part_a_face_is_in() -> None:
    young, old = _faces([20] * 10), _faces([70] * 10)
    assert split(young).sha256 != split(old).sha256


@given(contents=st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_identical_files_never_straddle(
    contents: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("faces")
    for i, content in enumerate(contents):
        (folder / f"30_0_0_{i}.jpg").write_bytes(bytes([content]))
    parts = split(read(folder).faces)
    together = [face.sha256 for part in PARTS for face in parts.part(part)]
    assert len(together) == len(set(together)) == len(set(contents))
