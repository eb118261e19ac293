"""A short search for the input on which two models disagree most.

The fixed inputs show one error; a search that starts from the worst of them finds a greater one,
which a tester or a user's camera would only meet by chance. It needs no gradients, so it works for
any two runtimes. The same seed tries the same inputs wherever both models give the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from parity_tests.compare import Outputs, output_errors
from parity_tests.inputs import Sample

Predict = Callable[[Sequence[Sample]], Outputs]
_Floats = npt.NDArray[np.float32]
_Change = Callable[[Image, np.random.Generator], _Floats]


@dataclass(frozen=True)
class Budget:
    """How long to search.

    Attributes:
        rounds: Generations.
        children: Inputs tried in each generation.
        parents: How many of the worst inputs so far each generation changes.
        seed: Seed of the changes.
    """

    rounds: int = 4
    children: int = 8
    parents: int = 4
    seed: int = 20_180_713


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        sample: The input with the greatest error; one of the starting inputs if none was worse.
        error: That error, in the output's unit.
        tried: How many inputs were tried.
    """

    sample: Sample
    error: float
    tried: int


def search(
    reference: Predict,
    candidate: Predict,
    starts: Sequence[Sample],
    start_errors: npt.NDArray[np.float64],
    budget: Budget,
) -> SearchResult:
    """Searches from inputs whose error is known.

    Args:
        reference: Runs one model.
        candidate: Runs the other.
        starts: Inputs to begin with.
        start_errors: Their errors, `(starts,)`.
        budget: How long to search.
    """
    random = np.random.default_rng(budget.seed)
    pool = sorted(zip(start_errors, starts, strict=True), key=lambda pair: -pair[0])
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
        found = output_errors(reference(children), candidate(children))
        pool = sorted([*pool, *zip(found, children, strict=True)], key=lambda pair: -pair[0])
    worst, sample = pool[0]
    return SearchResult(sample, float(worst), budget.rounds * budget.children)


def _child(parent: Sample, donor: Sample, name: str, random: np.random.Generator) -> Sample:
    """A changed copy: all of its crops get the same kind of change, each with its own noise."""
    change = _CHANGES[random.integers(len(_CHANGES))]
    crops = {}
    for crop, image in parent.crops.items():
        changed = change(image, random)
        if random.random() < 0.3:
            other = _resized(donor.crops[crop], image)
            changed = changed + np.float32(random.uniform(0.1, 0.6)) * (other - changed)
        crops[crop] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return Sample(name, crops)


def _noise(image: Image, random: np.random.Generator) -> _Floats:
    """Adds noise of a random grain size."""
    height, width = image.shape[:2]
    grain = int(random.choice((1, 4, 16)))
    coarse = random.normal(0, random.uniform(5, 60), (-(-height // grain), -(-width // grain), 3))
    fine = np.repeat(np.repeat(coarse, grain, axis=0), grain, axis=1)[:height, :width]
    return (image + fine).astype(np.float32)


def _contrast(image: Image, random: np.random.Generator) -> _Floats:
    """Changes contrast and brightness."""
    gain = np.float32(random.uniform(0.5, 3.0))
    return (image.astype(np.float32) - 128) * gain + np.float32(128 + random.uniform(-60, 60))


def _tint(image: Image, random: np.random.Generator) -> _Floats:
    """Scales each channel."""
    gains: _Floats = random.uniform(0.3, 2.0, 3).astype(np.float32)
    return image.astype(np.float32) * gains


def _shift(image: Image, random: np.random.Generator) -> _Floats:
    """Shifts the image; what leaves at one edge enters at the other."""
    height, width = image.shape[:2]
    steps = (int(random.integers(height)), int(random.integers(width)))
    return np.roll(image, steps, axis=(0, 1)).astype(np.float32)


def _patch(image: Image, random: np.random.Generator) -> _Floats:
    """Covers a rectangle with one colour."""
    height, width = image.shape[:2]
    top, left = int(random.integers(height)), int(random.integers(width))
    changed = image.astype(np.float32)
    changed[top : top + height // 3 + 1, left : left + width // 3 + 1] = random.uniform(0, 255, 3)
    return changed


_CHANGES: tuple[_Change, ...] = (_noise, _contrast, _tint, _shift, _patch)


def _resized(image: Image, like: Image) -> _Floats:
    import cv2

    return np.asarray(cv2.resize(image, (like.shape[1], like.shape[0])), np.float32)
