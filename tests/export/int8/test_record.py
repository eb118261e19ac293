"""Calibration files: what is written is what is read, and a bad file is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agecompact.artifacts.manifest import CalibrationSet
from agecompact.errors import UsageError
from export.flatbuffer import pack
from export.int8 import record
from export.int8.calibrate import calibrate
from export.int8.graph import Graph
from export.int8.record import Origin
from export.int8.writer import to_int8
from tests.export.int8.models import faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")

ORIGIN = Origin("a" * 64, CalibrationSet(40, "b" * 64), "answers go from 1 to 90 years")


@pytest.fixture(scope="module", params=by_model("ssrnet", "c3ae"))
def content(request: pytest.FixtureRequest, build_of: BuildOf) -> bytes:
    return float_file(build_of(request.param))


@pytest.fixture(scope="module")
def path(content: bytes, build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = Graph.parse(content)
    build = build_of("c3ae" if len(graph.inputs) > 1 else "ssrnet")
    calibration = calibrate(content, faces_of(build.manifest.contract, 40))
    found = tmp_path_factory.mktemp("record") / "a.int8.safetensors"
    record.write(found, record.of(content, calibration, ORIGIN))
    (found.parent / "right.tflite").write_bytes(to_int8(content, calibration))
    return found


def test_the_file_makes_the_same_int8_file_bit_by_bit(content: bytes, path: Path) -> None:
    found = record.read(path)
    assert found.origin == ORIGIN
    made = to_int8(content, found.calibration(content))
    assert made == (path.parent / "right.tflite").read_bytes()


def test_it_is_about_as_large_as_the_int8_file(path: Path) -> None:
    assert path.stat().st_size < 1.1 * (path.parent / "right.tflite").stat().st_size


def test_another_graph_is_refused(content: bytes, path: Path) -> None:
    graph = Graph.parse(content)
    first = next(op for op in graph.ops if op.kind == "CONV_2D")
    first.options.strideW += 1
    with pytest.raises(UsageError, match=r"another graph\n(.*\n)*fix: .*agecompact calibrate"):
        record.read(path).calibration(pack(graph.model))


def rewritten(path: Path, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    from safetensors import safe_open

    with safe_open(path, framework="np") as stream:
        metadata = stream.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, tmp_path / path.name, metadata)
    return tmp_path / path.name


def _first(tensors: dict[str, np.ndarray], suffix: str) -> str:
    return next(name for name in tensors if name.endswith(suffix))


def _lose(tensors: dict[str, np.ndarray]) -> None:
    del tensors[_first(tensors, ".greatest")]


def _cut(tensors: dict[str, np.ndarray]) -> None:
    name = _first(tensors, ".steps")
    tensors[name] = tensors[name].ravel()[:2].copy()


def _misname(tensors: dict[str, np.ndarray]) -> None:
    tensors["99999"] = np.zeros(1, np.float32)


@pytest.mark.parametrize("change", [_lose, _cut, _misname])
def test_tensors_that_do_not_fit_are_refused(
    change: Callable[[dict[str, np.ndarray]], None], content: bytes, path: Path, tmp_path: Path
) -> None:
    found = record.read(rewritten(path, tmp_path, change))
    with pytest.raises(UsageError, match="is damaged"):
        found.calibration(content)


def test_nan_is_refused(path: Path, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, np.ndarray]) -> None:
        tensors[_first(tensors, ".greatest")][:] = np.nan

    with pytest.raises(UsageError, match=r"is damaged\nwhy: .* has NaN or Inf"):
        record.read(rewritten(path, tmp_path, spoil))


def test_other_files_are_refused(path: Path, build_of: BuildOf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder or calibration file"):
        record.read(tmp_path / "missing")
    with pytest.raises(UsageError, match="is not a calibration file"):
        record.read(build_of("ssrnet").weights)
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match="cannot read"):
        record.read(tmp_path / "cut.safetensors")


def test_the_hash_is_of_the_content(path: Path) -> None:
    found = record.read(path)
    assert found.sha256 == record.read(path).sha256
    name = _first(dict(found.tensors), ".steps")
    other = {**found.tensors, name: found.tensors[name] + 1}
    assert replace(found, tensors=other).sha256 != found.sha256
