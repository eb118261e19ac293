"""The faces that int8 and mixed palettes are calibrated with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agecompact.contract import Contract, Tensor
from agecompact.data.face import spread
from agecompact.errors import UsageError
from agecompact.faces.files import images_in, read_chip
from agecompact.faces.framing import WHOLE

# More change little on the networks that we measured; fewer than the least cannot be all ages.
_MOST, LEAST = 400, 32


def chosen(folder: Path) -> Sequence[Path]:
    """The pictures of a folder that are used, evenly spread over its files.

    Raises:
        UsageError: There are none.
    """
    return spread(images_in(folder, "--calibration"), _MOST)


def read_faces(folder: Path, contract: Contract) -> dict[str, Tensor]:
    """Input tensors of the face chips in a folder, evenly spread over its files.

    Args:
        folder: Square pictures, each a face as UTKFace crops it.
        contract: Of the network, float32 NCHW.

    Returns:
        By input name, float32 `(faces, C, H, W)`.

    Raises:
        UsageError: There are too few that can be read.
    """
    found = [read_chip(path, WHOLE) for path in chosen(folder)]
    chips = [each.chip for each in found if each.chip is not None]
    if len(chips) < LEAST:
        states = sorted({each.state for each in found if each.chip is None})
        raise too_few(folder, len(chips), f"others are {', '.join(states)}")
    return {name: np.ascontiguousarray(batch) for name, batch in contract.batch(chips).items()}


def too_few(folder: Path, count: int, why: str = "400 of all ages are a good number") -> UsageError:
    """The error for a folder with too few faces."""
    return UsageError(
        f"{folder} has too few face chips: {count}, calibration needs {LEAST}",
        why=why,
        fix="name a folder of square pictures of faces with --calibration",
    )
