"""The tutorial works word for word."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A file to write, or commands to run.
BLOCK = re.compile(r"^```(?:\w+ title=(\S+)|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXITS = re.compile(r"\s*# exits (\d)$")


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
    for file, content in BLOCK.findall(PAGE):
        if file:
            (tmp_path / file).write_text(content)
            continue
        for line in content.splitlines():
            outputs.append(run(tmp_path, line))
    text = "\n".join(outputs)
    assert "tiny takes 1 x 3x64x64 and returns output (1)" in text
    assert "tiny.toml: nothing is wrong" in text
    assert "MAE" in text
    failed = outputs[-1]
    assert "tiny_float32.onnx in ONNX Runtime: mismatch" in failed
    assert "mean is (0.5, 0.5, 0.5), not (0.485, 0.456, 0.406)" in failed
    assert "years" in failed


def run(folder: Path, line: str) -> str:
    """Runs a line of the page and returns all that it printed."""
    wanted = EXITS.search(line)
    command = EXITS.sub("", line).split()
    program = {"agecompact": [sys.executable, "-m", "agecompact"], "python": [sys.executable]}
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*program[command[0]], *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == (int(wanted[1]) if wanted else 0), f"{line}\n{printed}"
    return printed
