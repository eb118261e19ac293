"""`agecompact export --precision int8`: what it needs, what it makes, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from agecompact import cli
from agecompact.artifacts.manifest import read_builds
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.runtimes.reading import read_metadata
from export import targets
from parity_tests import inputs
from tests.agecompact.data import synthetic
from tests.support import BuildOf, verdicts_on


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of a face in five lights, in a folder of a folder."""
    folder = tmp_path_factory.mktemp("chips")
    (folder / "inside").mkdir()
    views = [s for s in inputs.fixed(registry.get("ssrnet").contract) if s.kind == "face"]
    for i, view in enumerate(views):
        for light in (0.6, 0.8, 1.0, 1.2, 1.4):
            lit = np.clip(view.crops["face"] * light, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "inside" / f"{i}_{light}.png"), lit)
    return folder


def test_without_a_precision_int8_is_not_made() -> None:
    assert "int8" not in {target.precision.name for target in targets.select((), ())}
    (onnx, int8) = targets.select(["tflite"], ["int8"])
    assert (onnx.format.name, int8.format.name, int8.precision.name) == ("onnx", "tflite", "int8")


def test_it_needs_faces(tmp_path: Path) -> None:
    error = run("export", "ssrnet", "--precision", "int8", "--format", "tflite").exception
    assert isinstance(error, UsageError)
    assert error.what == "int8 needs faces to calibrate with"
    assert "--calibration FOLDER" in error.fix
    error = run("export", "ssrnet", "--calibration", tmp_path).exception
    assert isinstance(error, UsageError)
    assert error.what == "--calibration is only for int8"
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    error = run("export", "ssrnet", *arguments).exception
    assert isinstance(error, UsageError)
    assert error.what == f"no image in {tmp_path}"


def test_formats_without_int8_refuse_it() -> None:
    error = run("export", "ssrnet", "--precision", "int8", "--format", "onnx").exception
    assert isinstance(error, UsageError)
    assert error.what == "onnx is not exported in int8"


@pytest.fixture(scope="module")
def build(build_of: BuildOf, chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8")
    wanted = ("--precision", "int8", "--format", "tflite", "--calibration", chips)
    done = run("export", "--weights", build_of("ssrnet").weights, *wanted, "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    return out / "ssrnet"


def test_the_file_says_what_it_is(build: Path) -> None:
    (made,) = read_builds(build)
    entry = next(e for e in made.manifest.artifacts if e.precision == "int8")
    assert entry.file == "ssrnet_int8.tflite"
    metadata = read_metadata(made.path(entry))
    assert (metadata.model, metadata.precision, metadata.contract.dtype) == (
        "ssrnet",
        "int8",
        "float32",
    )
    assert run("verify", build).exit_code == 0


def test_it_passes_its_gates(build: Path) -> None:
    results = {r.artifact: r for r in verdicts_on(read_builds(build)[0])}
    assert results["ssrnet_int8.tflite"].status == "passed", results["ssrnet_int8.tflite"].reason


def test_faces_that_are_none_are_counted(tmp_path: Path, build_of: BuildOf) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), synthetic.picture(i))
    (tmp_path / "broken.png").write_text("no picture")
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    out = tmp_path / "out"
    error = run("export", "--weights", build_of("ssrnet").weights, *arguments, "--out", out)
    assert error.exit_code != 0
    text = str(error.exception)
    assert "3 face chips, int8 needs 32 at least" in text
    assert "unreadable" in text
    assert not list(out.glob("*"))
