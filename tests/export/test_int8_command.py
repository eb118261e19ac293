"""`agecompact export --precision int8`: what it needs, what it makes, and what is said of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.runtimes.reading import read_metadata
from agecompact.weights import checkpoints
from export import source as sources
from export import targets
from export.flatbuffer import pack
from export.int8 import record
from export.int8.faces import LEAST, read_faces
from export.int8.graph import Graph
from export.int8.source import calibrated, opened, released
from tests.agecompact.data import synthetic
from tests.export.int8.models import float_file
from tests.invoking import run
from tests.lit_faces import write_lit_faces
from tests.own.projects import write
from tests.support import BuildOf, verdicts_on

_INT8 = onnx.TensorProto.INT8


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of a face in five lights, in a folder of a folder."""
    folder = tmp_path_factory.mktemp("chips")
    write_lit_faces(folder / "inside", (0.6, 0.8, 1.0, 1.2, 1.4))
    return folder


def test_without_a_precision_int8_is_not_made() -> None:
    assert "int8" not in {target.precision.name for target in targets.select((), ())}
    (source, int8) = targets.select(["tflite"], ["int8"])
    assert (source.format.name, int8.format.name, int8.precision.name) == ("onnx", "tflite", "int8")
    # Formats that do not have it are left out, if none is named.
    assert [t.format.name for t in targets.select((), ["int8"])] == ["onnx", "onnx", "tflite"]


def test_it_needs_faces(tmp_path: Path) -> None:
    own = write(tmp_path, "mobile")
    error = run("export", own, "--precision", "int8", "--format", "tflite").exception
    assert isinstance(error, UsageError)
    assert error.what == "int8 needs faces to calibrate with"
    assert "--calibration FOLDER" in error.fix
    error = run("export", "ssrnet", "--calibration", tmp_path).exception
    assert isinstance(error, UsageError)
    assert error.what == "--calibration is only for int8, int16 and mixed"
    error = run("export", "ssrnet", "--precision", "mixed", "--format", "coreml").exception
    assert isinstance(error, UsageError)
    assert error.what == "mixed needs faces to calibrate with"
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    error = run("export", "ssrnet", *arguments).exception
    assert isinstance(error, UsageError)
    assert error.what == f"no image in {tmp_path}"
    error = run("export", "ssrnet", *arguments[:-1], tmp_path / "none").exception
    assert isinstance(error, UsageError)
    assert error.what == f"no such folder or calibration file: {tmp_path / 'none'}"


def test_released_weights_need_none() -> None:
    for model in filter(checkpoints.is_released, registry.MODELS):
        source = sources.read(checkpoints.released_path(model))
        found = released(source)
        assert found is not None, model
        assert found.origin.calibration.faces >= 400
        assert released(replace(source, sha256="0" * 64)) is None


@pytest.mark.parametrize(
    ("model", "note", "most_bytes"),
    [
        ("ssrnet", "19 of 38 layers are int8, 6 have rounded weights", 65_000),
        ("ssrnet-gender", "19 of 38 layers are int8, 6 have rounded weights", 65_000),
        ("c3ae-plain", "9 of 11 layers are int8", 45_000),
        ("c3ae", "15 of 20 layers are int8, 1 have rounded weights", 55_000),
        ("mobileagenet", "59 of 65 layers are int8", 3_750_000),
    ],
)
def test_released_weights_become_int8_without_faces(
    model: str, note: str, most_bytes: int, tmp_path: Path
) -> None:
    done = run("export", model, "--format", "tflite", "--precision", "int8", "--out", tmp_path)
    assert done.exit_code == 0, (done.output, done.exception)
    assert note in done.output
    assert (tmp_path / model / f"{model}_int8.tflite").stat().st_size < most_bytes


def test_a_calibration_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = checkpoints.released_path("ssrnet-gender").with_suffix(record.SUFFIX)
    source = sources.read(checkpoints.released_path("ssrnet"))
    with pytest.raises(UsageError, match=r"is the calibration of other weights\nwhy: .*\nfix: .*"):
        opened(path, source)
    arguments = ("--precision", "mixed", "--format", "coreml", "--calibration", path)
    error = run("export", "ssrnet", *arguments, "--out", tmp_path).exception
    assert isinstance(error, UsageError)
    assert error.what == "mixed needs faces to calibrate with"


def test_what_faces_gave_is_kept(
    build_of: BuildOf, chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build = build_of("ssrnet")
    content, source = float_file(build), sources.read(build.weights)
    faces = opened(chips, source)
    first = calibrated(content, source, faces)
    monkeypatch.setattr("export.int8.source.calibrate", lambda *_: pytest.fail("made again"))
    assert calibrated(content, source, faces).sha256 == first.sha256
    (kept,) = (tmp_path / "agecompact" / "int8").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(pytest.fail.Exception, match="made again"):
        calibrated(content, source, faces)


def test_formats_without_int8_refuse_it() -> None:
    error = run("export", "ssrnet", "--precision", "int8", "--format", "coreml").exception
    assert isinstance(error, UsageError)
    assert error.what == "coreml is not exported in int8"


@pytest.fixture(scope="module")
def build(build_of: BuildOf, chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8")
    wanted = ("--precision", "fp32", "--precision", "int8", "--calibration", chips)
    wanted += ("--format", "onnx", "--format", "tflite", "--dynamic-batch")
    done = run("export", "--weights", build_of("ssrnet").weights, *wanted, "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    return out / "ssrnet"


@pytest.mark.slow
def test_the_file_says_what_it_is(build: Path, chips: Path) -> None:
    (made,) = read_builds(build)
    entries = {e.file: e for e in made.manifest.artifacts if e.precision == "int8"}
    assert set(entries) == {"ssrnet_int8.onnx", "ssrnet_int8.tflite"}
    for entry in entries.values():
        assert entry.calibration is not None
        assert entry.calibration.faces == len(list((chips / "inside").iterdir()))
        assert "ai-edge-litert" in entry.versions
        assert entry.batch == 1
    entry = entries["ssrnet_int8.tflite"]
    assert "ai-edge-quantizer" in entry.versions
    assert not any(e.calibration for e in made.manifest.artifacts if e.precision == "float32")
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
    for file in ("ssrnet_int8.tflite", "ssrnet_int8.onnx"):
        assert results[file].status == "passed", results[file].reason


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
    other = folder / "ssrnet_int8.onnx"
    model = onnx.load(other)
    first = next(each for each in model.graph.initializer if each.data_type == _INT8)
    turned = -numpy_helper.to_array(first)
    first.CopyFrom(numpy_helper.from_array(turned, first.name))
    onnx.save(model, other)
    results = {r.artifact: r for r in verdicts_on(read_builds(folder)[0])}
    for file in (path.name, other.name):
        assert results[file].status == "failed"
        assert results[file].kind in ("mismatch", "degenerate")


def test_too_few_faces_are_refused_at_once(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), synthetic.picture(1))
    arguments = ("--precision", "int8", "--format", "tflite", "--calibration", tmp_path)
    error = run("export", "ssrnet", *arguments, "--out", tmp_path / "out").exception
    assert isinstance(error, UsageError)
    assert error.what == f"{tmp_path} has too few face chips: 1, calibration needs 32"
    assert error.fix == "name a folder of square pictures of faces with --calibration"
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_pictures_do_not_count(tmp_path: Path) -> None:
    for i in range(LEAST):
        (tmp_path / f"{i}.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"too few face chips: 0, .*\nwhy: others are unreadable"):
        read_faces(tmp_path, registry.get("ssrnet").contract)
