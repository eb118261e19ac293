"""Quantisation-aware training: moves the weights until int8 answers as the float network does.

It starts from a calibration and trains on the graph that becomes the file: activations and weights
are on their int8 grids in the forward pass, and gradients pass the rounding as if it were not there
("Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
Jacob et al. 2018, section 3). The float graph is the teacher, so faces need no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agecompact.contract import Contract, Image
from export.int8.calibration import Calibration
from export.int8.graph import Array
from export.int8.student import Comparison, Student, batches

# Every so many faces are held out: they choose between the epochs.
_HELD_OUT = 8


@dataclass(frozen=True)
class Settings:
    """How it is trained.

    Attributes:
        epochs: Passes over the faces.
        batch: Faces a step.
        rate: How far Adam moves a weight in the first steps, in steps of its grid. It falls to 0 as
            half a cosine.
    """

    epochs: int = 10
    batch: int = 64
    rate: float = 0.02


@dataclass(frozen=True)
class Progress:
    """One epoch.

    Attributes:
        number: Its number; 0 is the start.
        error: Root of the mean squared error on held-out faces, as a share of the answers' spread.
    """

    number: int
    error: float


def train(
    content: bytes,
    calibration: Calibration,
    chips: Sequence[Image],
    contract: Contract,
    settings: Settings,
    told: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Trains the weights of a calibration.

    Args:
        content: The float file, whose answers are the right ones.
        calibration: Its calibration; ranges and what becomes int8 stay as they are.
        chips: Faces, uint8 BGR.
        contract: Of the network, float32 NCHW.
        settings: How to train.
        told: Is told of each epoch.

    Returns:
        The calibration of the best epoch on held-out faces: the given one, if none is better.

    Raises:
        UnknownOpError: The twin cannot run the file.
    """
    import torch

    random = np.random.default_rng(0)
    held, seen = split(chips)
    comparison = Comparison.on(content, contract, held)
    student = Student.of(content, calibration)
    optimiser = torch.optim.Adam(student.groups(settings.rate), betas=(0.9, 0.99))
    steps = settings.epochs * -(-len(seen) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    best = comparison.error(student, held)
    kept: Mapping[int, Array] = {}
    told(Progress(0, best))
    for epoch in range(1, settings.epochs + 1):
        order = random.permutation(len(seen))
        mirrored = random.random(len(seen)) < 0.5
        views = [seen[i][:, ::-1] if mirrored[i] else seen[i] for i in order]
        for batch in batches(comparison.teacher, contract, views, settings.batch):
            optimiser.zero_grad()
            comparison.squared(student, batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        error = comparison.error(student, held)
        told(Progress(epoch, error))
        if error < best:
            best, kept = error, student.constants()
    return replace(calibration, constants={**calibration.constants, **kept})


def split(chips: Sequence[Image]) -> tuple[list[Image], list[Image]]:
    """Faces that are held out, to choose by, and the others."""
    held = [chip for i, chip in enumerate(chips) if i % _HELD_OUT == 0]
    return held, [chip for i, chip in enumerate(chips) if i % _HELD_OUT]
