"""A short search for the input on which two models disagree most.

Fixed inputs show the error that they happen to show. A search that climbs from the worst of them
gives a maximum that a tester, or a user's camera, does not find by luck. It needs no gradients, so
that any two runtimes can be searched; the same seed tries the same inputs wherever both answer
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from parity_tests.compare import Answers, errors
from parity_tests.inputs import Sample

Ask = Callable[[Sequence[Sample]], Answers]
_Change = Callable[[Image, np.random.Generator], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Budget:
    """How long to search.

    Attributes:
        rounds: Generations.
        children: Inputs tried in each.
        parents: The worst inputs so far, which each generation changes.
        seed: Of the changes.
    """

    rounds: int = 4
    children: int = 8
    parents: int = 4
    seed: int = 20_180_713


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        sample: The input with the greatest disagreement, one of the starts if none was worse.
        error: That disagreement, in the output's unit.
        tried: How many inputs were tried.
    """

    sample: Sample
    error: float
    tried: int


def search(
    reference: Ask,
    candidate: Ask,
    starts: Sequence[Sample],
    known: npt.NDArray[np.float64],
    budget: Budget,
) -> Found:
    """Climbs from the inputs whose error is known.

    Args:
        reference: Asks one model.
        candidate: Asks the other.
        starts: Inputs to begin with.
        known: Their errors, `(starts,)`.
        budget: How long to search.
    """
    random = np.random.default_rng(budget.seed)
    pool = sorted(zip(known, starts, strict=True), key=lambda pair: -pair[0])
    donors = [sample for _, sample in pool]
    for generation in range(budget.rounds):
        children = [
            _child(
                pool[random.integers(min(budget.parents, len(pool)))][1],
                donors[random.integers(len(donors))],
                f"searched {generation}.{i}",
                random,
            )
            for i in range(budget.children)
        ]
        found = errors(reference(children), candidate(children))
        pool = sorted([*pool, *zip(found, children, strict=True)], key=lambda pair: -pair[0])
    worst, sample = pool[0]
    return Found(sample, float(worst), budget.rounds * budget.children)


def _child(parent: Sample, donor: Sample, name: str, random: np.random.Generator) -> Sample:
    """A changed copy; every crop of it is changed in the same way, by other noise."""
    change = _CHANGES[random.integers(len(_CHANGES))]
    crops = {}
    for crop, image in parent.crops.items():
        changed = change(image, random)
        if random.random() < 0.3:
            other = _resized(donor.crops[crop], image)
            changed = changed + np.float32(random.uniform(0.1, 0.6)) * (other - changed)
        crops[crop] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return Sample(name, crops, "searched")


def _noise(image: Image, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Noise of a random grain."""
    height, width = image.shape[:2]
    grain = int(random.choice((1, 4, 16)))
    coarse = random.normal(0, random.uniform(5, 60), (-(-height // grain), -(-width // grain), 3))
    fine = np.repeat(np.repeat(coarse, grain, axis=0), grain, axis=1)[:height, :width]
    return (image + fine).astype(np.float32)


def _contrast(image: Image, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """More or less contrast, and light."""
    gain = np.float32(random.uniform(0.5, 3.0))
    return (image.astype(np.float32) - 128) * gain + np.float32(128 + random.uniform(-60, 60))


def _tint(image: Image, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Each channel louder or softer."""
    gains: npt.NDArray[np.float32] = random.uniform(0.3, 2.0, 3).astype(np.float32)
    return image.astype(np.float32) * gains


def _shift(image: Image, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """The picture rolled round its edges."""
    height, width = image.shape[:2]
    steps = (int(random.integers(height)), int(random.integers(width)))
    return np.roll(image, steps, axis=(0, 1)).astype(np.float32)


def _patch(image: Image, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A rectangle of one colour."""
    height, width = image.shape[:2]
    top, left = int(random.integers(height)), int(random.integers(width))
    changed = image.astype(np.float32)
    changed[top : top + height // 3 + 1, left : left + width // 3 + 1] = random.uniform(0, 255, 3)
    return changed


_CHANGES: tuple[_Change, ...] = (_noise, _contrast, _tint, _shift, _patch)


def _resized(image: Image, like: Image) -> npt.NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(image, (like.shape[1], like.shape[0])), np.float32)
