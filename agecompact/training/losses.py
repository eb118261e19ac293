"""The papers' losses, as functions of what a network predicts and of the targets.

Exported LEMUR modules carry a copy of this file, so it needs torch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional

from agecompact.models.trainable import LossFeatures

# Weight of the distribution against the age (C3AE, section 3.3).
_CASCADE_ALPHA = 10.0
# Weight of W1's sparsity. The paper gives no figure; this one costs about 0.03 years.
_CASCADE_LAMBDA = 1e-4
# Slope of the logit in a gender score: outputs of 0 and 1 then mean 99 % certainty.
_SCORE_SLOPE = 10.0

Loss = Callable[[LossFeatures, Tensor], Tensor]


def two_point(ages: Tensor, bins: int, interval: float) -> Tensor:
    """Returns ages as weights on their two neighbouring bins (C3AE, section 3.2).

    Bin i stands for i * interval years, and the weighted mean of the bins is the age. The paper's
    floor and ceiling coincide at multiples of the interval and leave the weights undefined; floor
    and floor + 1 do not.

    Args:
        ages: `(N, 1)`, years; clamped to the bins' range.
        bins: Number of bins.
        interval: Years from one bin to the next, K in the paper.

    Returns:
        `(N, bins)`, each row summing to 1.
    """
    position = (ages / interval).clamp(0, bins - 1)
    # The last bin has no right neighbour: its age puts the full weight on the bin right of floor.
    floor = position.floor().clamp(max=bins - 2)
    right = position - floor
    weights = ages.new_zeros(len(ages), bins)
    weights.scatter_(1, floor.long(), 1 - right)
    weights.scatter_(1, floor.long() + 1, right)
    return weights


def l1(features: LossFeatures, targets: Tensor) -> Tensor:
    """Mean absolute error."""
    return functional.l1_loss(features.value, targets)


def smooth_l1(features: LossFeatures, targets: Tensor) -> Tensor:
    """Huber's loss, quadratic below one year."""
    return functional.smooth_l1_loss(features.value, targets)


def cascade(features: LossFeatures, targets: Tensor) -> Tensor:
    """C3AE's loss (section 3.3): alpha * (KL(y || bins) + lambda * |W1|) + L1 of the age."""
    assert features.bins is not None
    shares, interval, weights = features.bins
    truth = two_point(targets, shares.shape[1], interval)
    divergence = functional.kl_div(shares.clamp_min(1e-7).log(), truth, reduction="batchmean")
    age = functional.l1_loss(features.value, targets)
    return _CASCADE_ALPHA * (divergence + _CASCADE_LAMBDA * weights.abs().sum()) + age


def binary(features: LossFeatures, targets: Tensor) -> Tensor:
    """Cross-entropy of a gender score, whose threshold is 0.5."""
    logits = _SCORE_SLOPE * (features.value - 0.5)
    return functional.binary_cross_entropy_with_logits(logits, targets)


LOSSES: Mapping[str, Loss] = {
    "l1": l1,
    "smooth_l1": smooth_l1,
    "cascade": cascade,
    "binary": binary,
}
# Losses of a network's distribution over age bins.
NEED_BINS = frozenset({"cascade"})
