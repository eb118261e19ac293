"""Rates at points computed by hand, and as torch's own schedulers compute them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

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
    ],
)
def test_rates_by_hand(schedule: Schedule, progress: float, rate: float) -> None:
    assert relative_rate(schedule, progress, 0, []) == pytest.approx(rate, abs=1e-12)


def test_the_rate_falls_every_n_epochs() -> None:
    schedule = Schedule("step", factor=0.1, epochs=30)
    rates = [relative_rate(schedule, 0.5, epoch, []) for epoch in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def _optimiser() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


@given(epochs=st.integers(1, 40), floor=st.floats(0, 0.5))
def test_a_cosine_is_torchs(epochs: int, floor: float) -> None:
    optimiser = _optimiser()
    scheduler = CosineAnnealingLR(optimiser, T_max=epochs, eta_min=floor)
    for epoch in range(epochs):
        ours = relative_rate(Schedule("cosine", floor=floor), epoch / epochs, epoch, [])
        assert ours == pytest.approx(scheduler.get_last_lr()[0], abs=1e-6)
        optimiser.step()
        scheduler.step()


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
    optimiser = _optimiser()
    theirs = ReduceLROnPlateau(optimiser, factor=0.5, patience=patience - 1, threshold=0.0)
    schedule = Schedule("plateau", factor=0.5, epochs=patience)
    for count, value in enumerate(validations, start=1):
        theirs.step(value)
        ours = relative_rate(schedule, 0.5, count, validations[:count])
        # Torch does not lower a rate that is almost 0.
        assert ours == pytest.approx(theirs.get_last_lr()[0], abs=1e-7)


def test_a_plateau_by_hand() -> None:
    schedule = Schedule("plateau", factor=0.1, epochs=2)
    history = [5.0, 4.0, 4.0, 4.5, 4.2, 3.0, 3.1, 3.0]
    rates = [relative_rate(schedule, 0.5, n, history[:n]) for n in range(len(history) + 1)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("validations", "epochs"),
    [([], 0), ([3.0], 0), ([3.0, 4.0], 1), ([3.0, 3.0], 1), ([4.0, 3.0], 0)],
)
def test_epochs_since_the_best(validations: list[float], epochs: int) -> None:
    assert epochs_since_best(validations) == epochs


@given(st.lists(st.floats(0, 100), min_size=1))
def test_an_equal_validation_is_not_a_better_one(validations: list[float]) -> None:
    best = len(validations) - 1 - epochs_since_best(validations)
    assert validations[best] == min(validations)
    assert all(value > validations[best] for value in validations[:best])
