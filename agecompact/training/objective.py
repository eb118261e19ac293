"""What a training minimises."""

from __future__ import annotations

from torch import Tensor, nn

from agecompact.training import losses
from agecompact.training.distillation import Hints
from agecompact.training.recipe import Recipe


class Objective(nn.Module):
    """A network with its loss, in one forward pass, which is what DDP synchronises.

    Attributes:
        network: The network.
        hint_weight: Weight of the distance to the teacher's maps.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, hints: Hints | None) -> None:
        super().__init__()
        self.network = network
        self._loss = losses.LOSSES[recipe.loss]
        self._taught = recipe.distillation.weight if recipe.distillation else 0.0
        self._hints = hints
        self.hint_weight = 0.0

    def forward(self, inputs: tuple[Tensor, ...], targets: Tensor, told: Tensor | None) -> Tensor:
        """The loss of a batch.

        Args:
            inputs: The network's, one tensor a crop.
            targets: Labels, `(N, 1)`.
            told: The teacher's answers, `(N, 1)`; None where there is none, or where hints ask the
                teacher themselves.
        """
        answer = losses.answer(self.network, inputs)
        extra = answer.value.new_zeros(())
        if self._hints and self.hint_weight:
            distance, told = self._hints.compare(*inputs)
            extra = self.hint_weight * distance
        loss = self._loss(self.network, answer, targets)
        if told is not None:
            taught = self._loss(self.network, answer, told.float())
            loss = (1 - self._taught) * loss + self._taught * taught
        return loss + extra
