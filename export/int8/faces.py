"""The faces that int8 and mixed palettes are calibrated with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agecompact.artifacts.manifest import CalibrationSet
from agecompact.contract import Contract, Image, Tensor
from agecompact.data.face import spread
from agecompact.errors import UsageError
from agecompact.faces.files import images_in, read_chip
from agecompact.faces.framing import WHOLE

# More change little on the networks that we measured; fewer than the least cannot be all ages.
MOST, LEAST = 400, 32
# Of so many, the faces are chosen by the answers for them.
CANDIDATES = 2000


def chosen(folder: Path, most: int = CANDIDATES) -> Sequence[Path]:
    """At most so many pictures of a folder, evenly spread over its files.

    Raises:
        UsageError: There are none.
    """
    return spread(images_in(folder, "--calibration"), most)


def read_chips(paths: Sequence[Path], folder: Path) -> list[Image]:
    """The face chips in files, uint8 `(200, 200, 3)` BGR.

    Args:
        paths: Square pictures, each a face as UTKFace crops it.
        folder: The folder that they are in, for errors.

    Raises:
        UsageError: There are too few that can be read.
    """
    found = [read_chip(path, WHOLE) for path in paths]
    chips = [each.chip for each in found if each.chip is not None]
    if len(chips) < LEAST:
        states = sorted({each.state for each in found if each.chip is None})
        raise too_few(folder, len(chips), f"others are {', '.join(states)}")
    return chips


def read_faces(folder: Path, contract: Contract) -> dict[str, Tensor]:
    """The face chips in a folder, evenly spread over its files, as a network takes them.

    Args:
        folder: Square pictures, each a face as UTKFace crops it.
        contract: Of the network, float32 NCHW.

    Returns:
        By input name, float32 `(faces, C, H, W)`.

    Raises:
        UsageError: There are too few that can be read.
    """
    return as_batch(read_chips(chosen(folder, MOST), folder), contract)


def as_batch(chips: Sequence[Image], contract: Contract) -> dict[str, Tensor]:
    """Face chips as a network takes them, by input name, float32 `(faces, C, H, W)`."""
    return {name: np.ascontiguousarray(v) for name, v in contract.batch(chips).items()}


def calibration_set(chips: Sequence[Image], qat_epochs: int = 0) -> CalibrationSet:
    """How many chips there are, and the hash of their pixels."""
    found = hashlib.sha256()
    for chip in chips:
        found.update(np.ascontiguousarray(chip).tobytes())
    return CalibrationSet(len(chips), found.hexdigest(), qat_epochs)


def too_few(folder: Path, count: int, why: str = "400 of all ages are a good number") -> UsageError:
    """The error for a folder with too few faces."""
    return UsageError(
        f"{folder} has too few face chips: {count}, calibration needs {LEAST}",
        why=why,
        fix="name a folder of square pictures of faces with --calibration",
    )
