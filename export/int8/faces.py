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
# What names a folder of faces.
_OPTION = "--calibration"
# Of so many, the faces are chosen by the answers for them.
CANDIDATES = 2000


def pictures(folder: Path, option: str = _OPTION) -> Sequence[Path]:
    """The pictures of a folder, enough to calibrate with, if each is a face.

    Args:
        folder: The folder.
        option: The option that named it, for errors.

    Raises:
        UsageError: There are too few.
    """
    found = images_in(folder, option)
    if len(found) < LEAST:
        raise _too_few(folder, len(found), option, "400 of all ages are a good number")
    return found


def chosen(folder: Path, most: int = CANDIDATES) -> Sequence[Path]:
    """At most so many pictures of a folder, evenly spread over its files.

    Raises:
        UsageError: There are too few to calibrate with.
    """
    return spread(pictures(folder), most)


def read_chips(paths: Sequence[Path], folder: Path, option: str = _OPTION) -> list[Image]:
    """The face chips in files, uint8 `(200, 200, 3)` BGR.

    Args:
        paths: Square pictures, each a face as UTKFace crops it.
        folder: The folder that they are in, for errors.
        option: The option that named it, for errors.

    Raises:
        UsageError: There are too few that can be read.
    """
    found = [read_chip(path, WHOLE) for path in paths]
    chips = [each.chip for each in found if each.chip is not None]
    if len(chips) < LEAST:
        states = sorted({each.state for each in found if each.chip is None})
        raise _too_few(folder, len(chips), option, f"others are {', '.join(states)}")
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


def _too_few(folder: Path, count: int, option: str, why: str) -> UsageError:
    return UsageError(
        f"{folder} has too few face chips: {count}, calibration needs {LEAST}",
        why=why,
        fix=f"name a folder of square pictures of faces with {option}",
    )
