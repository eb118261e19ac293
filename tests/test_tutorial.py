"""The tutorial works word for word."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.docs import pages
from tests.support import REPOSITORY

PAGE = "docs/tutorial.md"


def faces(folder: Path) -> None:
    """40 chips whose brightness grows with age, and their labels."""
    random = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "age"])
        for i in range(40):
            age = 10 + 2 * i
            chip = random.integers(0, 40, (80, 80, 3)) + 2 * age
            cv2.imwrite(str(folder / f"{i}.png"), chip.astype(np.uint8))
            table.writerow([f"{i}.png", age])


@pytest.mark.slow
def test_it_runs_word_for_word(tmp_path: Path) -> None:
    faces(tmp_path)
    outputs = []
    for block in pages.blocks(PAGE):
        if block.language == "sh":
            outputs += [run(tmp_path, command) for command in pages.commands(block)]
        elif block.title:
            (tmp_path / block.title).write_text(block.content)
    text = "\n".join(outputs)
    assert "tiny takes 1 x 3x64x64 and returns output (1)" in text
    assert "tiny.toml: nothing is wrong" in text
    assert "MAE" in text
    failed = outputs[-1]
    assert "tiny_float32.onnx in ONNX Runtime: mismatch" in failed
    assert "mean is (0.5, 0.5, 0.5), not (0.485, 0.456, 0.406)" in failed
    assert "years" in failed


def run(folder: Path, command: pages.Command) -> str:
    """Runs a command of the page and returns all that it printed."""
    name, *words = command.words
    program = {"agecompact": [sys.executable, "-m", "agecompact"], "python": [sys.executable]}
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*program[name], *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == command.exit_code, f"{command}\n{printed}"
    return printed
