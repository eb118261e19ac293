"""What a training records."""

from __future__ import annotations

from dataclasses import dataclass

from agecompact.contract import Unit


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


def validation_text(value: float, unit: Unit) -> str:
    """Returns a validation for people, such as `MAE 5.123 years`."""
    return f"MAE {value:.3f} years" if unit == "years" else f"accuracy {value:.4f}"
