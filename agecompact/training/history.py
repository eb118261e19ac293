"""The epochs of a training, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agecompact.training.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """One pass over the training part.

    Attributes:
        loss: Its mean loss.
        val: MAE in years, or gender accuracy, on the validation part afterwards, at the input
            size of the epoch's stage.
        rate: The learning rate of its last step.
        seconds: Wall time, validation included.
    """

    loss: float
    val: float
    rate: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """The end of a training.

    Attributes:
        history: Every epoch, also those before a resumption.
        kept: The epoch whose weights were kept, from 1.
        unreadable: Number of files of the training part that were not images.
    """

    history: tuple[Epoch, ...]
    kept: int
    unreadable: int

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.history)


def validation_text(value: float, unit: str) -> str:
    """Returns a validation for people, such as `MAE 5.123 years`."""
    return f"MAE {value:.3f} years" if unit == "years" else f"accuracy {value:.4f}"


def validation_errors(history: Sequence[Epoch], unit: str) -> list[float]:
    """Returns the validations as numbers of which the lowest is best: MAE, or minus accuracy."""
    return [epoch.val if unit == "years" else -epoch.val for epoch in history]


def epochs_since_best(errors: Sequence[float]) -> int:
    """Returns the number of epochs after the lowest error, 0 if the last is the lowest."""
    if not errors:
        return 0
    return len(errors) - 1 - min(range(len(errors)), key=errors.__getitem__)


@dataclass(frozen=True)
class Selection:
    """A recipe's choice among epochs, from their validations.

    Only epochs of the same stage compare: others may have had another input size.

    Attributes:
        recipe: The recipe.
        unit: Unit of the network's output.
    """

    recipe: Recipe
    unit: str

    def best(self, history: Sequence[Epoch]) -> int:
        """Returns the epoch to keep, from 1; it is in the stage of the last epoch."""
        if self.recipe.keep == "last" or not history:
            return len(history)
        return len(history) - epochs_since_best(self._errors(history))

    def stops_early(self, history: Sequence[Epoch]) -> bool:
        """Whether the recipe's patience is at its end."""
        waited = epochs_since_best(self._errors(history))
        return bool(self.recipe.early_stop) and waited >= self.recipe.early_stop

    def note(self, history: Sequence[Epoch]) -> str:
        """Returns the best validation so far, to end a line of progress; empty before any."""
        if not history:
            return ""
        best = history[self.best(history) - 1].val
        return f", best validation {validation_text(best, self.unit)}"

    def _errors(self, history: Sequence[Epoch]) -> list[float]:
        """Returns the validation errors of the stage that the last epoch belongs to."""
        first = self.recipe.stage_at(len(history) - 1)[1] if history else 0
        return validation_errors(history[first:], self.unit)
