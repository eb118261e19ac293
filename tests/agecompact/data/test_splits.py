"""The parts of a split are in proportion, and its hash is that of their names."""

from hypothesis import given
from hypothesis import strategies as st

from agecompact.data.splits import PARTS, hash_of, split
from tests.agecompact.data.synthetic import faces

_AGES = st.lists(st.integers(0, 116), min_size=1, max_size=300)


@given(_AGES)
def test_each_age_bin_is_split_in_proportion(ages: list[int]) -> None:
    parts = split(faces(ages))
    for first in range(0, 120, 5):
        counts = [
            sum(first <= face.label.age < first + 5 for face in parts.part(part)) for part in PARTS
        ]
        for count, share in zip(counts, (0.7, 0.1, 0.2), strict=True):
            assert abs(count - share * sum(counts)) <= 1


def test_the_hash_is_of_the_names_in_their_parts() -> None:
    parts = split(faces([20] * 10))
    names = {part: [face.name for face in parts.part(part)] for part in PARTS}
    assert hash_of(names) == parts.sha256
    names["val"], names["test"] = names["test"], names["val"]
    assert hash_of(names) != parts.sha256
