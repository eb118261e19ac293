"""The error of converted released weights is the error on their card."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agecompact.weights import checkpoints
from export import pipeline, targets
from tests.support import Agecompact

REAL_DATA = os.environ.get("AGECOMPACT_DATA")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chips")


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA, reason="AGECOMPACT_DATA does not name the UTKFace folder")
# Parity proves the conversion of the others.
@pytest.mark.parametrize("model_id", ["ssrnet"])
def test_the_float32_tflite_file_has_the_error_of_its_card(
    model_id: str, agecompact: Agecompact, cache: Path, tmp_path: Path
) -> None:
    weights = checkpoints.released_path(model_id)
    chosen = targets.select(["tflite"], ["fp32"])
    pipeline.export(pipeline.Request(weights, chosen, tmp_path))
    artifact = tmp_path / model_id / f"{model_id}_float32.tflite"
    chips = ("--data", REAL_DATA, "--cache", cache)
    result = agecompact("evaluate", "--artifact", artifact, *chips, "--json", tmp_path / "e.json")
    assert result.returncode == 0, result.stderr

    card = checkpoints.read(weights).card
    measured = json.loads((tmp_path / "e.json").read_text())
    assert measured["warnings"] == []
    assert measured["evaluation"]["split_sha256"] == card["split"]["sha256"]
    assert measured["evaluation"]["n"] == card["evaluation"]["n"]
    figure = "mae_years" if "mae_years" in card["evaluation"] else "accuracy"
    assert measured["evaluation"][figure] == pytest.approx(card["evaluation"][figure], abs=1e-3)
