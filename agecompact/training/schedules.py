"""Learning rates as pure functions of the position and of the validations so far.

Nothing here remembers anything, so a resumed training has the rates of an unbroken one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agecompact.training.recipe import Schedule


def relative_rate(
    schedule: Schedule, progress: float, epoch: int, validations: Sequence[float]
) -> float:
    """The rate at a position of a stage, relative to the stage's.

    Args:
        schedule: How the rate goes.
        progress: Part of the stage that is done, 0..1.
        epoch: Whole epochs of the stage that are done.
        validations: What each of them ended with; smaller is better.
    """
    if progress < schedule.warm_up:
        return progress / schedule.warm_up
    if schedule.shape == "cosine":
        within = (progress - schedule.warm_up) / (1 - schedule.warm_up)
        return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * within))
    if schedule.shape == "step":
        return float(schedule.factor ** (epoch // schedule.epochs))
    if schedule.shape == "plateau":
        return float(schedule.factor ** _plateaus(validations, schedule.epochs))
    return 1.0


def _plateaus(validations: Sequence[float], patience: int) -> int:
    """How often `patience` epochs went by without a better validation."""
    best, waited, count = math.inf, 0, 0
    for value in validations:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited == patience:
            count, waited = count + 1, 0
    return count


def since_best(validations: Sequence[float]) -> int:
    """Epochs since the best validation, 0 where the last is the best."""
    if not validations:
        return 0
    return len(validations) - 1 - min(range(len(validations)), key=validations.__getitem__)
