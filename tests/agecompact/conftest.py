"""A data set small enough to train on in a second."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_utkface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 chips with file names as in UTKFace, whose brightness grows with age."""
    folder = tmp_path_factory.mktemp("utkface")
    random = np.random.default_rng(0)
    for i in range(40):
        age, gender = 10 + 20 * (i % 4), i // 4 % 2
        chip = random.integers(0, 20, (64, 64, 3)) + 2 * age
        cv2.imwrite(str(folder / f"{age}_{gender}_0_{i:017}.jpg"), chip)
    return folder
