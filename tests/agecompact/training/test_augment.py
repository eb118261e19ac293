"""Augmentation: the identity at zero, within bounds, and reproducible."""

import dataclasses

import numpy as np
import pytest

from agecompact.evaluation import distortions
from agecompact.models import registry
from agecompact.training.augment import Augmentation, augment, deliver

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


# What `deliver` does, not `augment`.
_DELIVERY = {"jpeg", "resample"}


@pytest.mark.parametrize(
    "field", sorted({f.name for f in dataclasses.fields(Augmentation)} - _DELIVERY)
)
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


# Delivery.

_CONTRACT = registry.get("c3ae").contract


def delivered(amounts: Augmentation, seed: int) -> dict[str, np.ndarray]:
    return deliver(_CHIP, _CONTRACT, amounts, np.random.default_rng(seed))


def test_a_chip_is_delivered_as_the_contract_cuts_it() -> None:
    cut = _CONTRACT.crop(_CHIP)
    for name, crop in delivered(Augmentation(zoom=1.0), 0).items():
        assert np.array_equal(crop, cut[name])


def test_every_sane_filter_but_that_of_the_contract_is_drawn() -> None:
    size = (_CONTRACT.width, _CONTRACT.height)
    cut = _CONTRACT.crop(_CHIP)
    possible = {
        name: {crop: resize(cut[crop], *size) for crop in cut}
        for name, resize in distortions.RESIZES.items()
    }
    drawn = set()
    for seed in range(30):
        crops = delivered(Augmentation(resample=1.0), seed)
        # One filter for all crops of a face.
        (name,) = (
            name
            for name, made in possible.items()
            if all(np.array_equal(made[crop], crops[crop]) for crop in crops)
        )
        drawn.add(name)
    assert drawn == {"linear", "linear-antialiased", "cubic"}


def test_the_amounts_are_probabilities() -> None:
    cut = _CONTRACT.crop(_CHIP)
    for field in _DELIVERY:
        amounts = Augmentation(**{field: 0.5})
        changed = [
            not all(np.array_equal(crop, cut[name]) for name, crop in delivered(amounts, s).items())
            for s in range(100)
        ]
        assert 30 < sum(changed) < 70, field
