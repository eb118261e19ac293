"""What a training leaves of each epoch."""

from __future__ import annotations

from dataclasses import dataclass


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
class Trained:
    """What came of a training.

    Attributes:
        history: Every epoch, those before a resumption too.
        kept: The epoch whose weights were kept, from 1.
        unreadable: Files of the training part that were no image.
    """

    history: tuple[Epoch, ...]
    kept: int
    unreadable: int

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.history)
