"""Changed copies of a picture are found, other pictures are not, and the bound misses no pair."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.contract import Image
from agecompact.data import duplicates
from agecompact.data.duplicates import SIDE, THRESHOLD, similar_pairs, thumbnail
from tests.agecompact.data.synthetic import CHANGES, picture


def _all_pairs(prints: npt.NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    mirrored = prints.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(prints), -1)
    alike = np.maximum(prints @ prints.T, prints @ mirrored.T)
    return [(int(i), int(j)) for i, j in np.argwhere(alike > threshold) if i < j]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_is_the_same_picture(change: Callable[[Image], Image], seed: int) -> None:
    prints = np.stack([thumbnail(picture(seed)), thumbnail(change(picture(seed)))])
    assert [(i, j) for i, j, _ in similar_pairs(prints)] == [(0, 1)]


def test_other_pictures_are_not_duplicates() -> None:
    assert similar_pairs(np.stack([thumbnail(picture(seed)) for seed in range(200)])) == []


def test_no_pictures_have_no_pairs() -> None:
    assert similar_pairs(np.empty((0, SIDE * SIDE), np.float32)) == []


def test_pictures_of_one_colour_resemble_nothing() -> None:
    flat = thumbnail(np.full((200, 200, 3), 90, np.uint8))
    assert similar_pairs(np.stack([flat, flat])) == []


@pytest.mark.parametrize("threshold", [0.5, 0.9, THRESHOLD])
def test_the_bound_misses_no_pair(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small tiles, so that there are pairs inside them, across them and at their edges.
    monkeypatch.setattr(duplicates, "_ROWS", 7)
    monkeypatch.setattr(duplicates, "_COLUMNS", 17)
    monkeypatch.setattr(duplicates, "_CHECKED_AT_ONCE", 5)
    random = np.random.default_rng(0)
    images = [picture(seed) for seed in range(40)]
    noisy = [
        np.clip(image + random.normal(0, spread, image.shape), 0, 255).astype(np.uint8)
        for image in images
        for spread in (10, 60, 120)
    ]
    changed = [change(image) for image in images[:10] for change in CHANGES.values()]
    prints = np.stack([thumbnail(image) for image in (*images, *noisy, *changed)])
    found = [(i, j) for i, j, _ in similar_pairs(prints, threshold)]
    assert found == sorted(_all_pairs(prints, threshold))
    assert len(found) > 100


@given(st.integers(0, 2**32), st.floats(0, 3), st.sampled_from([0.3, 0.9, THRESHOLD]))
def test_the_bound_misses_no_random_pair(seed: int, fine: float, threshold: float) -> None:
    random = np.random.default_rng(seed)
    coarse = np.kron(random.normal(size=(12, 4, 4)), np.ones((8, 8)))
    values = coarse + fine * random.normal(size=(12, SIDE, SIDE))
    values[6:] = values[:6] + 0.2 * random.normal(size=(6, SIDE, SIDE))
    prints = values.reshape(12, -1).astype(np.float32)
    prints -= prints.mean(1, keepdims=True)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    found = {(i, j) for i, j, _ in similar_pairs(prints, threshold)}
    # Pairs on the threshold itself may fall either way in float32.
    assert found <= set(_all_pairs(prints, threshold - 1e-5))
    assert found >= set(_all_pairs(prints, threshold + 1e-5))


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40),
        )
    )
)
def test_groups_are_what_pairs_connect(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = graph
    groups = duplicates.groups(count, pairs)
    assert sorted(node for group in groups for node in group) == list(range(count))
    where = {node: index for index, group in enumerate(groups) for node in group}
    assert all(where[i] == where[j] for i, j in pairs)
    joined = len({frozenset(pair) for pair in pairs if pair[0] != pair[1]})
    assert count - len(groups) <= joined
