"""Augmentation: the identity at zero, within bounds, and reproducible."""

import dataclasses

import numpy as np
import pytest

from agecompact.training.augment import Augmentation, augment

_CHIP = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)


def test_zero_amounts_change_nothing() -> None:
    assert np.array_equal(augment(_CHIP, Augmentation(), np.random.default_rng(0)), _CHIP)


def test_flip_mirrors_exactly_and_about_half_of_the_chips() -> None:
    random = np.random.default_rng(0)
    outcomes = [augment(_CHIP, Augmentation(flip=True), random) for _ in range(100)]
    mirrored = [np.array_equal(chip, _CHIP[:, ::-1]) for chip in outcomes]
    untouched = [np.array_equal(chip, _CHIP) for chip in outcomes]
    assert 30 < sum(mirrored) < 70
    assert sum(mirrored) + sum(untouched) == 100


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Augmentation)])
def test_each_amount_changes_pixels_but_not_shape_or_dtype(field: str) -> None:
    amounts = Augmentation(**{field: True if field == "flip" else 1.0})
    random = np.random.default_rng(1)
    before = _CHIP.copy()
    outcomes = [augment(_CHIP, amounts, random) for _ in range(10)]
    assert any(not np.array_equal(chip, _CHIP) for chip in outcomes)
    assert all(chip.shape == _CHIP.shape and chip.dtype == np.uint8 for chip in outcomes)
    assert np.array_equal(_CHIP, before)


def test_the_same_seed_gives_the_same_chip() -> None:
    amounts = Augmentation(zoom=0.1, shift=0.1, rotate=5, flip=True, light=0.2, tint=0.1, erase=0.5)
    first, second = (augment(_CHIP, amounts, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)
