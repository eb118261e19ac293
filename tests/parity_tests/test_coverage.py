"""What real faces get is what artefacts are compared on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.weights import checkpoints
from parity_tests.inputs import Sample
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings

_FOLDER = os.environ.get("AGECOMPACT_DATA")
_FACES = 200


@pytest.fixture(scope="module")
def chips() -> list[np.ndarray]:
    if not _FOLDER:
        pytest.skip("AGECOMPACT_DATA does not name UTKFace")
    files = sorted(Path(_FOLDER).rglob("*.jpg"))
    random.Random(0).shuffle(files)
    return [cv2.imread(str(file)) for file in files[:_FACES]]


@pytest.mark.parametrize(
    "model_id",
    [
        "ssrnet",
        "ssrnet-gender",
        "c3ae-plain",
        "c3ae",
        pytest.param("mobileagenet", marks=pytest.mark.slow),
    ],
)
def test_the_outputs_for_real_faces_are_in_the_covered_range(
    model_id: str, chips: list[np.ndarray]
) -> None:
    path = checkpoints.released_path(model_id)
    contract = checkpoints.read(path).contract
    settings = CheckSettings()
    with Reference(path, contract, settings) as reference:
        faces = reference.runner.outputs([Sample("", contract.crop(chip)) for chip in chips])
        (found,) = reference.covered
        fixed = reference.outputs[: reference.fixed]
    inside = np.mean((found.low <= faces) & (faces <= found.high))
    before = np.mean((fixed.min() <= faces) & (faces <= fixed.max()))
    print(f"{model_id}: {found}; {inside:.2%} of faces, {before:.2%} with the fixed inputs alone")
    assert inside >= 0.995
    # Otherwise the test would not need the search.
    assert before < 0.95
