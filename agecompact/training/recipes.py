"""How each model is trained, as data.

The losses, the optimisers and the peak rates are the papers'. The lengths are not: 90 to 600 epochs
would take a CPU days, so the defaults take minutes of one core, under a cosine decay in place of
the papers' steps and plateaus. How long released weights were trained is in their cards.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

from agecompact.errors import unknown_name
from agecompact.training.augment import Augmentation


@dataclass(frozen=True)
class Phase:
    """A part of the training at one input size, with a warm-up and a cosine of its own.

    Attributes:
        share: The part of all epochs, 0..1.
        side: Input height and width in pixels, or None for the contract's.
        peak: The phase's peak learning rate, relative to the recipe's.
    """

    share: float
    side: int | None = None
    peak: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        source: The paper, and what of it is followed.
        epochs: Passes over the training part.
        batch: Faces a step.
        rate: Peak learning rate, reached after `warm_up` and brought to 0 by a cosine, each phase.
        loss: A name of `losses.LOSSES`.
        weight_decay: Decoupled (AdamW); 0 is Adam.
        warm_up: Part of a phase over which the rate rises from 0.
        clip_norm: Bound on the gradient's norm.
        augmentation: Changes to each chip.
        phases: Input sizes in turn; a fully convolutional network learns cheaply on small images.
        norm_momentum: How fast BN statistics follow, or None for the network's own 0.01, which
            takes hundreds of steps to arrive at the statistics of another input size.
        config: Configuration of the model's factory.
        half: Whether the weights are stored in float16.
    """

    source: str
    epochs: int
    batch: int
    rate: float
    loss: Literal["l1", "smooth_l1", "cascade"]
    augmentation: Augmentation
    weight_decay: float = 0.0
    warm_up: float = 0.05
    clip_norm: float = 10.0
    phases: tuple[Phase, ...] = (Phase(1.0),)
    norm_momentum: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    half: bool = False

    def at(self, progress: float) -> tuple[Phase, float]:
        """The phase at `progress`, 0..1 of the training, and the learning rate there."""
        ends = list(accumulate(phase.share for phase in self.phases))
        index = bisect_right(ends[:-1], progress)
        phase = self.phases[index]
        within = (progress - ends[index]) / phase.share + 1
        if within < self.warm_up:
            shape = within / self.warm_up
        else:
            shape = 0.5 * (1 + math.cos(math.pi * (within - self.warm_up) / (1 - self.warm_up)))
        return phase, self.rate * phase.peak * shape


_SSRNET = Recipe(
    source="SSR-Net, section 4: Adam at 0.002, batch 50, MAE, zoom, shift, shear and flip",
    epochs=8,
    batch=50,
    rate=2e-3,
    loss="l1",
    augmentation=Augmentation(zoom=0.1, shift=0.05, rotate=5, shear=5, flip=True),
)

RECIPES: Mapping[str, Recipe] = {
    "ssrnet": _SSRNET,
    "ssrnet-gender": dataclasses.replace(_SSRNET, epochs=4),
    "c3ae-plain": Recipe(
        source="C3AE, section 4: Adam at 0.002, batch 50, weight decay 1e-4, dropout 0.2, L1",
        epochs=8,
        batch=50,
        rate=2e-3,
        loss="l1",
        weight_decay=1e-4,
        augmentation=Augmentation(zoom=0.1, shift=0.05, rotate=5, flip=True),
    ),
    "c3ae": Recipe(
        source="C3AE, sections 3.2-3.3 and 4: as plain, with two-point labels and cascade loss; "
        "8 bins from 0 every 15 years, where the paper's 10..80 would leave out UTKFace's children",
        epochs=6,
        batch=50,
        rate=2e-3,
        loss="cascade",
        weight_decay=1e-4,
        augmentation=Augmentation(zoom=0.05, shift=0.03, rotate=5, flip=True),
        config={"interval": 15.0},
    ),
    "mobileagenet": Recipe(
        source="MobileAgeNet: AdamW at 1.4162e-3, weight decay 5e-5, batch 64, smooth L1, gradient "
        "norm 2, its augmentation without blur; from scratch, there being no ImageNet weights to "
        "start from, and on small inputs first",
        epochs=5,
        batch=64,
        rate=1.4162e-3,
        loss="smooth_l1",
        weight_decay=5e-5,
        clip_norm=2.0,
        augmentation=Augmentation(zoom=0.1, shift=0.05, flip=True, light=0.25, tint=0.1, erase=0.2),
        phases=(Phase(0.5, 64), Phase(0.42, 112, peak=0.7), Phase(0.08, peak=0.3)),
        norm_momentum=0.1,
        half=True,
    ),
}


def get(model_id: str) -> Recipe:
    """The recipe of a model.

    Raises:
        UsageError: None is written for it; the nearest name is suggested.
    """
    if model_id not in RECIPES:
        raise unknown_name("recipe", model_id, RECIPES)
    return RECIPES[model_id]
