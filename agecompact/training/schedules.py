"""Learning rates as pure functions of the position and of the validations so far.

Without state, a resumed training has the rates of an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agecompact.training.recipe import Schedule


def relative_rate(
    schedule: Schedule, progress: float, epoch: int, errors: Sequence[float]
) -> float:
    """Returns the rate at a position in a stage, relative to the stage's peak rate.

    Args:
        schedule: How the rate changes.
        progress: Completed part of the stage, 0..1.
        epoch: Completed epochs of the stage.
        errors: Their validations, `history.validation_errors`.
    """
    if progress < schedule.warm_up:
        return progress / schedule.warm_up
    if schedule.shape == "cosine":
        within = (progress - schedule.warm_up) / (1 - schedule.warm_up)
        return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * within))
    if schedule.shape == "step":
        return float(schedule.factor ** (epoch // schedule.epochs))
    if schedule.shape == "plateau":
        return float(schedule.factor ** _plateaus(errors, schedule.epochs))
    return 1.0


def _plateaus(errors: Sequence[float], patience: int) -> int:
    """Returns how often `patience` epochs passed without a better validation."""
    best, waited, count = math.inf, 0, 0
    for value in errors:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited == patience:
            count, waited = count + 1, 0
    return count
