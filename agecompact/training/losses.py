"""The papers' losses, in years, and where a network's answers start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agecompact.models.c3ae import C3AE
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet

# Weight of the distribution against the age (C3AE, section 3.3).
_CASCADE_ALPHA = 10.0
# Weight of W1's sparsity. The paper gives no figure; this one costs about 0.03 years.
_CASCADE_LAMBDA = 1e-4
# Slope of the logit in a gender score: 0 and 1 are then answers of 99 % certainty.
_SCORE_SLOPE = 10.0
# Of the range of bounded answers, how far from its ends a fresh network starts.
_LEAST_SHARE = 0.02


class Answer(NamedTuple):
    """What a network says of a batch.

    Attributes:
        value: `(N, 1)`: years, or the gender score.
        bins: `(N, bins)`, C3AE's distribution over ages, or None for the others.
    """

    value: Tensor
    bins: Tensor | None


Loss = Callable[[nn.Module, Answer, Tensor], Tensor]


def answer(network: nn.Module, inputs: tuple[Tensor, ...]) -> Answer:
    """Runs a network once and returns all that a loss may need of it, in float32."""
    if isinstance(network, C3AE) and network.w1 is not None:
        bins = network.bins(*inputs)
        return Answer(network.age(bins).float(), bins.float())
    return Answer(network(*inputs).float(), None)


def two_point(ages: Tensor, bins: int, interval: float) -> Tensor:
    """Ages as weights on their two neighbouring bins (C3AE, section 3.2).

    Bin i stands for i * interval years, and the weighted mean of the bins is the age. The paper's
    floor and ceiling coincide at multiples of the interval and leave the weights undefined; floor
    and floor + 1 do not.

    Args:
        ages: `(N, 1)`, years; clamped to the bins' range.
        bins: How many bins.
        interval: Years from one to the next, K in the paper.

    Returns:
        `(N, bins)`, each row summing to 1.
    """
    position = (ages / interval).clamp(0, bins - 1)
    # The last bin has no right neighbour: its age is the full weight on the right of its left one.
    floor = position.floor().clamp(max=bins - 2)
    right = position - floor
    weights = ages.new_zeros(len(ages), bins)
    weights.scatter_(1, floor.long(), 1 - right)
    weights.scatter_(1, floor.long() + 1, right)
    return weights


def l1(network: nn.Module, answer: Answer, targets: Tensor) -> Tensor:  # noqa: ARG001
    """Mean absolute error."""
    return F.l1_loss(answer.value, targets)


def smooth_l1(network: nn.Module, answer: Answer, targets: Tensor) -> Tensor:  # noqa: ARG001
    """Huber's loss with its knee at one year."""
    return F.smooth_l1_loss(answer.value, targets)


def cascade(network: nn.Module, answer: Answer, targets: Tensor) -> Tensor:
    """C3AE's loss (section 3.3): alpha * (KL(y || bins) + lambda * |W1|) + L1 of the age."""
    assert isinstance(network, C3AE)
    assert network.w1 is not None
    assert answer.bins is not None
    truth = two_point(targets, answer.bins.shape[1], network.config.interval)
    divergence = F.kl_div(answer.bins.clamp_min(1e-7).log(), truth, reduction="batchmean")
    sparsity = network.w1.weight.abs().sum()
    age = F.l1_loss(answer.value, targets)
    return _CASCADE_ALPHA * (divergence + _CASCADE_LAMBDA * sparsity) + age


def binary(network: nn.Module, answer: Answer, targets: Tensor) -> Tensor:  # noqa: ARG001
    """Cross-entropy of a gender score, whose threshold is 0.5."""
    return F.binary_cross_entropy_with_logits(_SCORE_SLOPE * (answer.value - 0.5), targets)


LOSSES: Mapping[str, Loss] = {
    "l1": l1,
    "smooth_l1": smooth_l1,
    "cascade": cascade,
    "binary": binary,
}


def start_at(network: nn.Module, mean: float) -> None:
    """Sets an untrained network's last layer so that its first answers are near the labels' mean.

    Adam moves a weight by about the learning rate a step: a last layer that starts near zero would
    spend a short training on reaching tens of years. SSR-Net's range V already puts it there.
    """
    with torch.no_grad():
        if isinstance(network, C3AE):
            if network.config.bins is None:
                network.age.bias.fill_(mean)
            else:
                bins = torch.arange(network.config.bins) * network.config.interval
                network.age.weight.copy_(bins.unsqueeze(0))
                network.age.bias.zero_()
        elif isinstance(network, MobileAgeNet | EfficientNetLite0):
            last = network.head[-1] if isinstance(network, MobileAgeNet) else network.age
            assert isinstance(last, nn.Linear)
            share = (mean - network.minimum) / (network.maximum - network.minimum)
            # At its bounds, and beyond, the sigmoid has no slope to leave them by.
            share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
            last.bias.fill_(math.log(share / (1 - share)))
