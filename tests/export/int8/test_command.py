"""`agecompact calibrate`: from faces to a file that int8 is made with."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.artifacts import manifest
from agecompact.errors import UsageError
from export.int8 import record
from tests.invoking import run
from tests.lit_faces import write_lit_faces

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")


@pytest.mark.slow
def test_from_faces_to_an_int8_file(tmp_path: Path) -> None:
    chips = write_lit_faces(tmp_path / "chips", (0.5, 0.7, 0.9, 1.1, 1.3))
    file, out, told = tmp_path / "a.int8.safetensors", tmp_path / "build", tmp_path / "told.json"
    done = run(
        *("calibrate", "ssrnet", "--faces", chips, "--qat-epochs", 1),
        *("--out", file, "--json", told),
    )
    assert done.exit_code == 0, (done.output, done.exception)
    count = len(list(chips.iterdir()))
    origin = json.loads(told.read_text())["origin"]
    assert (origin["calibration"]["faces"], origin["calibration"]["qat_epochs"]) == (count, 1)
    assert record.read(file).origin.weights_sha256 == origin["weights_sha256"]
    wanted = ("--format", "tflite", "--precision", "int8", "--calibration", file)
    done = run("export", "ssrnet", *wanted, "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    (entry,) = (
        each
        for each in manifest.read(out / "ssrnet").manifest.artifacts
        if each.precision == "int8"
    )
    assert entry.calibration is not None
    assert (entry.calibration.faces, entry.calibration.qat_epochs) == (count, 1)


def test_too_few_faces_are_refused_at_once(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((200, 200, 3), np.uint8))
    error = run("calibrate", "ssrnet", "--faces", tmp_path, "--out", tmp_path / "out").exception
    assert isinstance(error, UsageError)
    assert error.what == f"{tmp_path} has too few face chips: 1, calibration needs 32"
    assert error.fix == "name a folder of square pictures of faces with --faces"
    assert not (tmp_path / "out").exists()
