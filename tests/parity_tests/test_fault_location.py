"""A failed check reports the op where its error originates; wrong weights fail without an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from parity_tests.check import check_builds
from parity_tests.results import as_json, read, write
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import in_onnx, initializer, renamed, truncated
from tests.support import CopyBuild, verdicts_on


def scale_a_channel(model: onnx.ModelProto) -> None:
    """Scales one channel of a convolution in the middle of the network."""
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    scale = np.float32([1.5])

    def change(weights: np.ndarray) -> None:
        weights[0] *= scale

    initializer(convolutions[len(convolutions) // 2], change)(model)


def test_the_faulty_op_is_reported(copy_build: CopyBuild, tmp_path: Path) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    in_onnx(scale_a_channel)(build.folder / "ssrnet_float32.onnx")
    (result,) = check_builds([build], CheckSettings(budget=None))
    assert result.kind == "mismatch"
    assert result.localisation is not None
    origin = result.localisation["originates_at"]
    assert origin["suspicion"] == "weights differ"
    assert any(origin["scope"] in line for line in result.localisation["lines"])
    # parity.json keeps all of it.
    write(tmp_path / "parity.json", [result])
    again = read(tmp_path / "parity.json")
    before, after = (json.dumps(as_json(each), sort_keys=True) for each in ([result], again))
    assert before == after


def nan_on_black(model: onnx.ModelProto) -> None:
    """Adds 0 * log(brightest pixel) to the output, which is NaN for a black image only."""
    face, output = model.graph.input[0].name, model.graph.output[0].name
    renamed(model, {output: "inner"})
    zero = onnx.numpy_helper.from_array(np.zeros((1, 1), np.float32), "zero")
    model.graph.initializer.append(zero)
    model.graph.node.extend(
        [
            onnx.helper.make_node("ReduceMax", [face], ["brightest"], keepdims=0),
            onnx.helper.make_node("Log", ["brightest"], ["log"]),
            onnx.helper.make_node("Mul", ["log", "zero"], ["nothing"]),
            onnx.helper.make_node("Add", ["inner", "nothing"], [output]),
        ]
    )


def test_nan_on_one_input_is_located_on_that_input(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    in_onnx(nan_on_black)(build.folder / "ssrnet_float32.onnx")
    (result,) = check_builds([build], CheckSettings(budget=None))
    assert result.kind == "not-finite"
    assert "'black'" in result.reason
    assert result.localisation is not None
    origin = result.localisation["originates_at"]
    assert origin["candidate_op"].startswith("Add")
    assert origin["suspicion"] == "not finite"


@pytest.mark.slow
def test_a_correct_artefact_is_localised_only_on_request(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    (quiet,) = check_builds([build], CheckSettings(budget=None))
    assert quiet.localisation is None
    (requested,) = check_builds([build], CheckSettings(budget=None, localise="always"))
    assert requested.localisation is not None
    assert requested.localisation["originates_at"] is None


@pytest.mark.slow
def test_a_float16_package_fails_if_the_float32_one_is_broken(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".mlpackage")
    truncated()(build.folder / "ssrnet_float32.mlpackage")
    results = {r.artifact: r for r in verdicts_on(build) if r.runtime == "mil"}
    assert results["ssrnet_float32.mlpackage"].kind == "load"
    assert results["ssrnet_float16.mlpackage"].kind == "weights"
    assert "its weights cannot be compared" in results["ssrnet_float16.mlpackage"].reason


def test_the_searched_error_is_reported_beside_the_fixed_inputs(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float16.tflite")
    (result,) = check_builds([build], CheckSettings())
    assert result.status == "passed"
    assert result.searched > 0
    assert result.searched_error is not None
    assert result.max_error is not None
    assert result.searched_error >= result.max_error
