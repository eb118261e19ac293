"""Random changes of an image, for searches that need no gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from agecompact.contract import Image
from parity_tests.inputs import Sample, mosaic

_Floats = npt.NDArray[np.float32]
_Change = Callable[[Image, np.random.Generator], _Floats]


def mutated(parent: Sample, donor: Sample, name: str, random: np.random.Generator) -> Sample:
    """A changed copy: all of its crops get the same kind of change, each with its own noise.

    Args:
        parent: The sample to change.
        donor: Another sample, which is sometimes mixed in.
        name: Name of the copy.
        random: Decides on the change.
    """
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


def _mosaic(image: Image, random: np.random.Generator) -> _Floats:
    """Replaces the image by a mosaic."""
    height, width = image.shape[:2]
    return mosaic(height, width, int(random.choice((3, 4, 6, 8))), random).astype(np.float32)


_CHANGES: tuple[_Change, ...] = (_noise, _contrast, _tint, _shift, _patch, _mosaic)


def _resized(image: Image, like: Image) -> _Floats:
    import cv2

    return np.asarray(cv2.resize(image, (like.shape[1], like.shape[0])), np.float32)
