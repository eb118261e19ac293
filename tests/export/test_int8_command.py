"""`agecompact export --precision int8`: what it needs, what it makes, and what is said of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.runtimes.reading import read_metadata
from export import targets
from export.flatbuffer import pack
from export.int8.faces import LEAST, read_faces
from export.int8.graph import Graph
from parity_tests import inputs
from tests.agecompact.data import synthetic
from tests.invoking import run
from tests.support import BuildOf, verdicts_on


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
    assert error.what == "--calibration is only for int8 and mixed"
    error = run("export", "ssrnet", "--precision", "mixed", "--format", "coreml").exception
    assert isinstance(error, UsageError)
    assert error.what == "mixed needs faces to calibrate with"
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    error = run("export", "ssrnet", *arguments).exception
    assert isinstance(error, UsageError)
    assert error.what == f"no image in {tmp_path}"


def test_formats_without_int8_refuse_it() -> None:
    error = run("export", "ssrnet", "--precision", "int8", "--format", "coreml").exception
    assert isinstance(error, UsageError)
    assert error.what == "coreml is not exported in int8"


@pytest.fixture(scope="module")
def build(build_of: BuildOf, chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8")
    wanted = ("--precision", "int8", "--format", "tflite", "--calibration", chips)
    done = run("export", "--weights", build_of("ssrnet").weights, *wanted, "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    return out / "ssrnet"


@pytest.mark.slow
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


@pytest.mark.slow
def test_it_passes_its_gates(build: Path) -> None:
    results = {r.artifact: r for r in verdicts_on(read_builds(build)[0])}
    assert results["ssrnet_int8.tflite"].status == "passed", results["ssrnet_int8.tflite"].reason


@pytest.mark.slow
def test_a_first_layer_of_the_wrong_sign_fails(build: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ssrnet"
    shutil.copytree(build, folder)
    path = folder / "ssrnet_int8.tflite"
    graph = Graph.parse(path.read_bytes())
    convolution = next(op for op in graph.ops if op.kind == "CONV_2D")
    tensor = graph.model.subgraphs[0].tensors[convolution.inputs[1]]
    stored = graph.model.buffers[tensor.buffer]
    stored.data = (-np.asarray(stored.data, np.uint8).view(np.int8)).view(np.uint8)
    path.write_bytes(pack(graph.model))
    results = {r.artifact: r for r in verdicts_on(read_builds(folder)[0])}
    assert results[path.name].status == "failed"
    assert results[path.name].kind in ("mismatch", "degenerate")


def test_too_few_faces_are_refused_at_once(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), synthetic.picture(1))
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    error = run("export", "ssrnet", *arguments, "--out", tmp_path / "out").exception
    assert isinstance(error, UsageError)
    assert error.what == f"{tmp_path} has too few face chips: 1, calibration needs 32"
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_pictures_do_not_count(tmp_path: Path) -> None:
    for i in range(LEAST):
        (tmp_path / f"{i}.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"too few face chips: 0, .*\nwhy: others are unreadable"):
        read_faces(tmp_path, registry.get("ssrnet").contract)
