"""What a training minimises."""

from __future__ import annotations

from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.models.trainable import HasLossFeatures, LossFeatures
from agecompact.training import losses
from agecompact.training.hints import Hints
from agecompact.training.recipe import Recipe


def loss_features(network: nn.Module, inputs: tuple[Tensor, ...]) -> LossFeatures:
    """Runs a network once and returns what losses see of it, in float32.

    Raises:
        UsageError: The output is not `(N, 1)`.
    """
    if isinstance(network, HasLossFeatures):
        features = network.features_for_loss(*inputs)
    else:
        features = LossFeatures(network(*inputs))
    if features.value.shape != (len(inputs[0]), 1):
        raise UsageError(
            "the network does not return one value per face",
            why=f"its output for {len(inputs[0])} faces is {tuple(features.value.shape)}",
            fix="return (N, 1) from its forward",
        )
    bins = features.bins
    if bins is not None:
        bins = bins._replace(shares=bins.shares.float())
    return LossFeatures(features.value.float(), bins)


class Objective(nn.Module):
    """A network with its loss in one forward pass, which is what DDP synchronises.

    Attributes:
        network: The network.
        hint_weight: Weight of the distance to the teacher's feature maps.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, hints: Hints | None) -> None:
        super().__init__()
        self.network = network
        self.hint_weight = 0.0
        self._loss_name = recipe.loss
        self._loss = losses.LOSSES[recipe.loss]
        self._teacher_weight = recipe.distillation.weight if recipe.distillation else 0.0
        self._hints = hints

    def forward(
        self, inputs: tuple[Tensor, ...], targets: Tensor, teacher_targets: Tensor | None
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            inputs: The network's inputs, one tensor per crop.
            targets: Labels, `(N, 1)`.
            teacher_targets: The teacher's predictions, `(N, 1)`; None without a teacher, or when
                hints run the teacher anyway.

        Raises:
            UsageError: The loss needs age bins and the network has none.
        """
        features = loss_features(self.network, inputs)
        if self._loss_name in losses.NEED_BINS and features.bins is None:
            raise UsageError(
                f"the loss '{self._loss_name}' needs a distribution over age bins",
                why=f"{type(self.network).__name__} has none",
                fix="choose another loss: --set loss=l1",
            )
        extra = features.value.new_zeros(())
        if self._hints and self.hint_weight:
            distance, teacher_targets = self._hints.compare(*inputs)
            extra = self.hint_weight * distance
        loss = self._loss(features, targets)
        if teacher_targets is not None:
            distilled = self._loss(features, teacher_targets.float())
            loss = (1 - self._teacher_weight) * loss + self._teacher_weight * distilled
        return loss + extra
