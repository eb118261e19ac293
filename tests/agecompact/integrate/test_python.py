"""Projects for Python pass their golden test as they are, and fail it with each usual mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agecompact.integrate.answers import golden_of
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import write_project
from agecompact.weights import checkpoints
from export.command import export
from tests.support import BuildOf

_CODE = "facemodel.py"


def released_onnx(model_id: str) -> Path:
    return checkpoints.released_path(model_id).with_suffix(".onnx")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project for a network with several crops."""
    model, folder = released_onnx("c3ae"), tmp_path_factory.mktemp("python") / "project"
    write_project(model, golden_of(model), PLATFORMS["python"], folder)
    return folder


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """The project's own test, as its README says, away from our package."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_passes_and_needs_no_agecompact(project: Path) -> None:
    done = run_tests(project)
    assert done.returncode == 0, done.stdout
    assert "16 passed" in done.stdout
    for file in project.rglob("*.py"):
        assert "agecompact" not in file.read_text()


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        (
            "values = np.float32(pixels)",
            "values = np.float32(pixels[..., ::-1])",
            "red and blue are swapped",
        ),
        ("values = np.float32(pixels)", "values = np.float32(pixels) / 255", "from 0 to 1"),
        ("INTER_AREA", "INTER_LINEAR", "the resize is bilinear"),
        (
            "values = values.transpose(2, 0, 1)",
            "values = values.reshape(3, HEIGHT, WIDTH)",
            "pixels are not put into planes",
        ),
        ("round(left * width), round(top * height)", "0, 0", ""),
        ("0.305, 0.293", "0.355, 0.293", ""),
    ],
)
def test_it_fails_with_a_mistake_and_names_it(
    project: Path, right: str, wrong: str, named: str
) -> None:
    code = project / _CODE
    good = code.read_text()
    assert right in good
    code.write_text(good.replace(right, wrong))
    try:
        done = run_tests(project)
    finally:
        code.write_text(good)
    assert done.returncode == 1, done.stdout
    assert named in done.stdout
    assert "test_answers" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("file", ["ssrnet_float32.tflite", "ssrnet_float32.onnx"])
def test_files_of_a_build_pass_and_carry_the_answers_of_pytorch(
    file: str, build_of: BuildOf, tmp_path: Path
) -> None:
    model = build_of("ssrnet").folder / file
    golden = golden_of(model)
    assert golden.reference is not None
    write_project(model, golden, PLATFORMS["python"], tmp_path / "project")
    done = run_tests(tmp_path / "project")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_file_that_takes_pictures_in_int8_passes(tmp_path: Path) -> None:
    wanted = ("--format", "tflite", "--precision", "int8", "--input", "image")
    made = CliRunner().invoke(export, ["c3ae-plain", *wanted, "--out", str(tmp_path)])
    assert made.exit_code == 0, made.exception
    model = tmp_path / "c3ae-plain" / "c3ae-plain_int8.tflite"
    write_project(model, golden_of(model), PLATFORMS["python"], tmp_path / "project")
    done = run_tests(tmp_path / "project")
    assert done.returncode == 0, done.stdout
