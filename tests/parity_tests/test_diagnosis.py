"""A failed verdict carries the op where its error is born, in the report and in the summary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from parity_tests.check import check_builds
from parity_tests.plan import Plan
from parity_tests.results import as_json, read, write
from tests.support import CopyBuild, verdicts_on


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
    (result,) = check_builds([build], Plan(budget=None))
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
    (quiet,) = check_builds([build], Plan(budget=None))
    assert quiet.localisation is None
    (asked,) = check_builds([build], Plan(budget=None, localise="always"))
    assert asked.localisation is not None
    assert asked.localisation["born_at"] is None


def test_a_flipped_bit_that_no_answer_shows_is_found(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", ".mlpackage")
    package = build.folder / "ssrnet_float16.mlpackage"
    blob = package / "Data/com.apple.CoreML/weights/weight.bin"
    content = bytearray(blob.read_bytes())
    # The last bit of the last weight's mantissa.
    content[_last_blob(content)] ^= 1
    blob.write_bytes(bytes(content))
    told = {
        (r.artifact, r.runtime): (r.status, r.kind)
        for r in verdicts_on(build)
        if r.status != "skipped"
    }
    assert told["ssrnet_float16.mlpackage", "mil"] == ("failed", "weights")
    assert told["ssrnet_float32.mlpackage", "mil"] == ("passed", None)


def _last_blob(content: bytes) -> int:
    """Where the last float16 blob of a weight file begins."""
    found = 0
    for at in range(64, len(content), 64):
        if content[at : at + 4] == (0xDEADBEEF).to_bytes(4, "little"):
            kind, size, offset = np.frombuffer(content[at + 4 : at + 24], "<u4,<u8,<u8")[0]
            if kind == 1 and size > 64:
                found = int(offset)
    assert found
    return found


def test_the_search_is_told_apart_from_the_fixed_inputs(copy_build: CopyBuild) -> None:
    build = copy_build("ssrnet", "float16.tflite")
    (result,) = check_builds([build], Plan())
    assert result.status == "passed"
    assert result.searched > 0
    assert result.searched_years is not None
    assert result.max_years is not None
    assert result.searched_years >= result.max_years
    gates = replace(result.tolerance, searched=result.searched_years / 2)
    assert gates.searched < result.searched_years
