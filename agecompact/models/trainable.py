"""What a network may offer to training: each protocol is optional and has one method.

A network that implements none of them still trains: its loss sees the output alone, its last layer
keeps its random start, and it takes no part in hints or in starts from published weights.

Exported LEMUR modules carry a copy of this file, so it needs torch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn


class AgeBins(NamedTuple):
    """A network's distribution over age bins; bin i stands for i * `interval` years.

    Attributes:
        shares: `(N, bins)`, each row summing to 1.
        interval: Years from one bin to the next.
        weights: The weights that produce the bins, for a penalty on their magnitude.
    """

    shares: Tensor
    interval: float
    weights: Tensor


class LossFeatures(NamedTuple):
    """What a loss sees of one forward pass.

    Attributes:
        value: The network's output `(N, 1)`, in years, or a score.
        bins: The distribution that the age is computed from, if the network has one.
    """

    value: Tensor
    bins: AgeBins | None = None


@runtime_checkable
class HasLossFeatures(Protocol):
    """A network whose loss needs more than its output."""

    def features_for_loss(self, *inputs: Tensor) -> LossFeatures:
        """Runs the network once, without `forward`.

        Args:
            *inputs: As `forward` takes them.
        """
        ...


@runtime_checkable
class HasOutputStart(Protocol):
    """A network whose last layer should not start at random."""

    def initialise_output(self, mean: float) -> None:
        """Sets the last layer, in place, so that the first outputs are near a mean.

        Adam moves a weight by about the learning rate a step: a last layer that starts near zero
        would spend a short training on reaching tens of years.

        Args:
            mean: Mean of the training labels, in the unit of the output.
        """
        ...


@runtime_checkable
class HasHintLayers(Protocol):
    """A network with layers whose outputs can be compared with another network's."""

    def hint_layers(self) -> Mapping[str, nn.Module]:
        """Returns layers by name; layers of one name have outputs of one shape in both networks.

        The shipped networks use `stage1` to `stage5`, the linear outputs `(N, C, H, W)` of a mobile
        network's stages at strides 2, 4, 8, 16 and 16, and `hidden`, the output `(N, features)` of
        the head's first linear layer.
        """
        ...


@runtime_checkable
class AdaptsWeights(Protocol):
    """A network that can continue from weights of another configuration of itself."""

    def adapted(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns a state dict of this configuration.

        Args:
            state: A state dict of any configuration that differs in the model's `adaptable` alone.
        """
        ...


class Heads(NamedTuple):
    """Where a trunk ends, as prefixes of names in a state dict.

    Attributes:
        own: The network's own head, which published weights do not fill.
        published: The classifier in the published state dict, which is left out.
    """

    own: str
    published: str


@runtime_checkable
class HasTrunk(Protocol):
    """A network whose trunk has the names of a published state dict."""

    def heads(self) -> Heads:
        """Returns the parts of both state dicts that are not the trunk."""
        ...
