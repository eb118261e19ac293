"""A failed verdict carries the op where its error is born, in the report and in the summary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from agecompact.runtimes.coreml import MODEL_FILE
from parity_tests.check import check_builds
from parity_tests.results import as_json, read, write
from parity_tests.settings import CheckSettings
from tests.support import CopyBuild, verdicts_on
from tests.weight_blobs import WEIGHT_FILE, blobs


def spoil_a_convolution(path: Path) -> str:
    """Scales one channel of a convolution inside a stage; returns the node's name."""
    model = onnx.load_model(path)
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    node = nodes[len(nodes) // 2]
    stored = next(i for i in model.graph.initializer if i.name == node.input[1])
    values = onnx.numpy_helper.to_array(stored).copy()
    values[0] *= np.float32(1.5)
    stored.CopyFrom(onnx.numpy_helper.from_array(values, stored.name))
    onnx.save(model, path)
    return node.name


def test_the_culprit_is_told(copy_build: CopyBuild, tmp_path: Path) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    spoil_a_convolution(build.folder / "ssrnet_float32.onnx")
    (result,) = check_builds([build], CheckSettings(budget=None))
    assert result.kind == "mismatch"
    assert result.localisation is not None
    born = result.localisation["born_at"]
    assert born["suspicion"] == "weights differ"
    assert any(born["scope"] in line for line in result.localisation["lines"])
    # It survives the way through the file, which holds JSON only.
    write(tmp_path / "parity.json", [result])
    (again,) = read(tmp_path / "parity.json")
    told, kept = (json.dumps(as_json([each]), sort_keys=True) for each in (result, again))
    assert told == kept


def test_a_right_artefact_is_looked_into_only_when_asked(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    (quiet,) = check_builds([build], CheckSettings(budget=None))
    assert quiet.localisation is None
    (asked,) = check_builds([build], CheckSettings(budget=None, localise="always"))
    assert asked.localisation is not None
    assert asked.localisation["born_at"] is None


def test_a_flipped_bit_that_no_answer_shows_is_found(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".mlpackage")
    file = build.folder / "ssrnet_float16.mlpackage" / WEIGHT_FILE
    content = bytearray(file.read_bytes())
    last = [blob for blob in blobs(content) if blob.dtype == "<f2" and blob.bytes > 64][-1]
    # The last bit of the first weight's mantissa.
    content[last.start] ^= 1
    file.write_bytes(content)
    told = {
        (r.artifact, r.runtime): (r.status, r.kind)
        for r in verdicts_on(build)
        if r.status != "skipped"
    }
    assert told["ssrnet_float16.mlpackage", "mil"] == ("failed", "weights")
    assert told["ssrnet_float32.mlpackage", "mil"] == ("passed", None)


def test_a_float16_package_without_a_readable_float32_one_is_not_passed(
    copy_build: CopyBuild,
) -> None:
    build = copy_build("ssrnet", ".mlpackage")
    model = build.folder / "ssrnet_float32.mlpackage" / MODEL_FILE
    model.write_bytes(model.read_bytes()[:1000])
    told = {r.artifact: r for r in verdicts_on(build) if r.runtime == "mil"}
    assert told["ssrnet_float32.mlpackage"].kind == "load"
    assert told["ssrnet_float16.mlpackage"].kind == "weights"
    assert "nothing to hold its weights to" in told["ssrnet_float16.mlpackage"].reason


def test_the_search_is_told_apart_from_the_fixed_inputs(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float16.tflite")
    (result,) = check_builds([build], CheckSettings())
    assert result.status == "passed"
    assert result.searched > 0
    assert result.searched_years is not None
    assert result.max_years is not None
    assert result.searched_years >= result.max_years
    gates = replace(result.tolerance, searched=result.searched_years / 2)
    assert gates.searched < result.searched_years
