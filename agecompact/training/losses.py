"""The papers' losses, in years, and where a network's answers start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agecompact.models.c3ae import C3AE
from agecompact.models.mobileagenet import MobileAgeNet

# Weight of the distribution against the age (C3AE, section 3.3).
_CASCADE_ALPHA = 10.0
# Weight of W1's sparsity. The paper gives no figure; this one costs about 0.03 years.
_CASCADE_LAMBDA = 1e-4

Loss = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


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


def l1(network: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    """Mean absolute error."""
    return F.l1_loss(network(*inputs), targets)


def smooth_l1(network: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    """Huber's loss with its knee at one year."""
    return F.smooth_l1_loss(network(*inputs), targets)


def cascade(network: nn.Module, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    """C3AE's loss (section 3.3): alpha * (KL(y || bins) + lambda * |W1|) + L1 of the age."""
    assert isinstance(network, C3AE)
    assert network.w1 is not None
    bins = network.bins(*inputs)
    truth = two_point(targets, bins.shape[1], network.config.interval)
    divergence = F.kl_div(bins.clamp_min(1e-7).log(), truth, reduction="batchmean")
    sparsity = network.w1.weight.abs().sum()
    age = F.l1_loss(network.age(bins), targets)
    return _CASCADE_ALPHA * (divergence + _CASCADE_LAMBDA * sparsity) + age


LOSSES: Mapping[str, Loss] = {"l1": l1, "smooth_l1": smooth_l1, "cascade": cascade}


def start_at(network: nn.Module, mean_age: float) -> None:
    """Sets an untrained network's last layer so that its first answers are plausible ages.

    Adam moves a weight by about the learning rate a step: a last layer that starts near zero would
    spend a short training on reaching tens of years. SSR-Net's range V already puts it there.
    """
    with torch.no_grad():
        if isinstance(network, C3AE):
            if network.config.bins is None:
                network.age.bias.fill_(mean_age)
            else:
                bins = torch.arange(network.config.bins) * network.config.interval
                network.age.weight.copy_(bins.unsqueeze(0))
                network.age.bias.zero_()
        elif isinstance(network, MobileAgeNet):
            last = network.head[-1]
            assert isinstance(last, nn.Linear)
            share = (mean_age - network.minimum) / (network.maximum - network.minimum)
            last.bias.fill_(math.log(share / (1 - share)))
