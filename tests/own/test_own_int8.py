"""Anyone's network in int8: residual sums and inverted residuals, with no special case."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agecompact.artifacts import manifest
from agecompact.models import project
from export.int8.graph import Graph
from tests.lit_faces import write_lit_faces
from tests.own.projects import write
from tests.support import Agecompact

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of the shipped face in five lights."""
    return write_lit_faces(tmp_path_factory.mktemp("chips"), (0.5, 0.7, 0.9, 1.1, 1.3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual", "bottlenecks"])
def test_it_becomes_int8_without_a_special_case(
    name: str, chips: Path, agecompact: Agecompact, tmp_path: Path
) -> None:
    file = write(tmp_path, name)
    out = tmp_path / "build"
    done = agecompact("export", file, "--precision", "int8", "--calibration", chips, "--out", out)
    assert done.returncode == 0, done.stderr
    folder = out / project.read(file).spec.id
    made = {entry.file: entry for entry in manifest.read(folder).manifest.artifacts}
    assert {e.format for e in made.values() if e.precision == "int8"} == {"onnx", "tflite"}

    graph = Graph.parse((folder / f"{name}_int8.tflite").read_bytes())
    kernels = [
        graph.constant(op.inputs[1])
        for op in graph.ops
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
    share = np.mean([each is not None and each.dtype == np.int8 for each in kernels])
    assert share > 0.8

    right = answers(agecompact, folder / f"{name}_float32.onnx", chips)
    for suffix in ("onnx", "tflite"):
        found = answers(agecompact, folder / f"{name}_int8.{suffix}", chips)
        assert np.abs(found - right).mean() < 0.25 * right.std(), suffix


def answers(agecompact: Agecompact, artifact: Path, chips: Path) -> np.ndarray:
    images = sorted(chips.iterdir())
    done = agecompact("predict", "--artifact", artifact, *images, "--no-detect", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = [image["faces"][0]["answers"][0] for image in json.loads(done.stdout)["images"]]
    return np.array([answer["values"][0] for answer in found])
