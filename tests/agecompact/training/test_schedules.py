"""Rates at points computed by hand, and plateaus as torch's own scheduler finds them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from agecompact.training.history import epochs_since_best
from agecompact.training.recipe import Schedule
from agecompact.training.schedules import relative_rate


@pytest.mark.parametrize(
    ("schedule", "progress", "rate"),
    [
        (Schedule("constant"), 0.7, 1.0),
        (Schedule("cosine"), 0.0, 1.0),
        (Schedule("cosine"), 1 / 3, 0.75),
        (Schedule("cosine"), 0.5, 0.5),
        (Schedule("cosine"), 1.0, 0.0),
        (Schedule("cosine", floor=0.1), 0.5, 0.55),
        (Schedule("cosine", floor=0.1), 1.0, 0.1),
        (Schedule("cosine", warm_up=0.2), 0.0, 0.0),
        (Schedule("cosine", warm_up=0.2), 0.05, 0.25),
        (Schedule("cosine", warm_up=0.2), 0.2, 1.0),
        (Schedule("cosine", warm_up=0.2, floor=0.5), 0.6, 0.75),
        (Schedule("constant", warm_up=0.5), 0.25, 0.5),
        (Schedule("constant", warm_up=0.5), 0.75, 1.0),
        (Schedule("plateau"), 0.5, 1.0),
    ],
)
def test_rates_by_hand(schedule: Schedule, progress: float, rate: float) -> None:
    assert relative_rate(schedule, progress, 0, []) == pytest.approx(rate, abs=1e-12)


def test_the_rate_falls_every_n_epochs() -> None:
    schedule = Schedule("step", factor=0.1, epochs=30)
    rates = [relative_rate(schedule, 0.5, epoch, []) for epoch in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@given(
    validations=st.lists(st.sampled_from([3.0, 4.0, 5.0, 6.0]), max_size=40),
    patience=st.integers(1, 5),
)
def test_a_plateau_is_torchs_with_another_count_of_patience(
    validations: list[float], patience: int
) -> None:
    """The rate falls after `epochs` without a better one, as in Keras and in the paper.

    Torch lowers it one epoch after `patience` is used up. Its default threshold, switched off here,
    ignores improvements of less than 1e-4.
    """
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = ReduceLROnPlateau(optimiser, factor=0.5, patience=patience - 1, threshold=0.0)
    schedule = Schedule("plateau", factor=0.5, epochs=patience)
    for count, value in enumerate(validations, start=1):
        theirs.step(value)
        ours = relative_rate(schedule, 0.5, count, validations[:count])
        # Torch does not lower a rate that is almost 0.
        assert ours == pytest.approx(theirs.get_last_lr()[0], abs=1e-7)


def test_no_epoch_has_passed_before_the_first() -> None:
    assert epochs_since_best([]) == 0


@given(st.lists(st.sampled_from([3.0, 4.0, 5.0]), min_size=1))
def test_an_equal_validation_is_not_a_better_one(validations: list[float]) -> None:
    best = len(validations) - 1 - epochs_since_best(validations)
    assert validations[best] == min(validations)
    assert all(value > validations[best] for value in validations[:best])
