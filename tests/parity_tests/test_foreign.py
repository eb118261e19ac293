"""Any pair of models: another naming, another layout, no metadata, several answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from agecompact.errors import UsageError
from agecompact.formats import RUNTIMES
from parity_tests.foreign import check_pair
from parity_tests.settings import CheckSettings
from tests.support import Agecompact, BuildOf

QUICK = CheckSettings(budget=None)


@pytest.fixture
def contract(build_of: BuildOf, tmp_path: Path) -> Path:
    path = tmp_path / "contract.json"
    path.write_text(build_of("ssrnet").manifest.contract.to_json())
    return path


def stranger(source: Path, target: Path) -> Path:
    """The same network without metadata, its input and output under a stranger's names."""
    model = onnx.load_model(source)
    del model.metadata_props[:]
    for side, name in ((model.graph.input, "input.1"), (model.graph.output, "1234")):
        old, side[0].name = side[0].name, name
        for node in model.graph.node:
            node.input[:] = [name if each == old else each for each in node.input]
            node.output[:] = [name if each == old else each for each in node.output]
    onnx.save(model, target)
    return target


def test_a_stranger_is_held_to_tflite_by_a_contract(
    build_of: BuildOf, contract: Path, tmp_path: Path
) -> None:
    folder = build_of("ssrnet").folder
    candidate = stranger(folder / "ssrnet_float32.onnx", tmp_path / "theirs.onnx")
    result = check_pair(folder / "ssrnet_float32.tflite", candidate, contract, QUICK)
    assert (result.status, result.kind) == ("passed", None), result.reason
    assert result.max_years is not None
    assert result.max_years > 0.0


def test_a_wrong_stranger_fails_and_the_op_is_told(
    build_of: BuildOf, contract: Path, tmp_path: Path
) -> None:
    folder = build_of("ssrnet").folder
    candidate = stranger(folder / "ssrnet_float32.onnx", tmp_path / "theirs.onnx")
    model = onnx.load_model(candidate)
    stored = next(i for i in model.graph.initializer if len(i.dims) == 4 and i.dims[1] > 3)
    values = onnx.numpy_helper.to_array(stored) * np.float32(1.1)
    stored.CopyFrom(onnx.numpy_helper.from_array(values, stored.name))
    onnx.save(model, candidate)
    result = check_pair(folder / "ssrnet_float32.onnx", candidate, contract, QUICK)
    assert (result.status, result.kind) == ("failed", "mismatch")
    assert result.localisation is not None
    assert result.localisation["born_at"] is not None
    assert "Conv" in result.localisation["born_at"]["candidate_op"]


def test_a_tflite_file_without_metadata_and_signature(
    build_of: BuildOf, contract: Path, tmp_path: Path
) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    folder = build_of("ssrnet").folder
    content = (folder / "ssrnet_float32.tflite").read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.signatureDefs = []
    model.metadata = []
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = b"serving_default_input:0"
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    candidate = tmp_path / "theirs.tflite"
    candidate.write_bytes(bytes(builder.Output()))
    result = check_pair(folder / "ssrnet_float32.onnx", candidate, contract, QUICK)
    assert (result.status, result.kind) == ("passed", None), result.reason


def test_without_metadata_and_contract_nobody_can_feed_it(
    build_of: BuildOf, tmp_path: Path
) -> None:
    folder = build_of("ssrnet").folder
    stripped = stranger(folder / "ssrnet_float32.onnx", tmp_path / "theirs.onnx")
    with pytest.raises(UsageError) as refused:
        check_pair(stripped, folder / "ssrnet_float32.tflite", None, QUICK)
    assert "--contract" in refused.value.fix


def test_several_answers_are_compared_each(contract: Path, tmp_path: Path) -> None:
    """A network of ten answers, the last of which goes wrong."""

    def network(path: Path, scale: np.ndarray) -> Path:
        nodes = [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ]
        weights = (np.arange(30, dtype=np.float32).reshape(3, 10) / 30) * scale
        graph = helper.make_graph(
            nodes,
            "ten",
            [helper.make_tensor_value_info("x", 1, [1, 3, 64, 64])],
            [helper.make_tensor_value_info("y", 1, [1, 10])],
            [onnx.numpy_helper.from_array(weights.astype(np.float32), "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, path)
        return path

    scale = np.ones(10)
    right = network(tmp_path / "right.onnx", scale)
    same = network(tmp_path / "same.onnx", scale)
    scale[9] = 1.01
    wrong = network(tmp_path / "wrong.onnx", scale)
    assert check_pair(right, same, contract, QUICK).status == "passed"
    result = check_pair(right, wrong, contract, QUICK)
    assert (result.status, result.kind) == ("failed", "mismatch")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_core_ml_package_has_core_mls_gates(precision: str, build_of: BuildOf) -> None:
    pytest.importorskip("coremltools")
    folder = build_of("ssrnet").folder
    candidate = folder / f"ssrnet_{precision}.mlpackage"
    result = check_pair(
        folder / "ssrnet_float32.onnx",
        candidate,
        None,
        QUICK,
        runtime=RUNTIMES["mil"],
        precision=precision,
    )
    assert (result.status, result.kind) == ("passed", None), result.reason
    gates = QUICK.tolerances.of(unit="years", format="coreml", precision=precision)
    assert result.tolerance == gates
    assert gates != QUICK.tolerances.of(unit="years", format="onnx", precision="float32")


def test_the_command_checks_a_pair(build_of: BuildOf, agecompact: Agecompact) -> None:
    folder = build_of("ssrnet").folder
    pair = (
        "--reference",
        folder / "ssrnet_float32.onnx",
        "--candidate",
        folder / "ssrnet_float16.tflite",
    )
    loose = agecompact("parity", *pair, "--precision", "float16", "--no-search", "--json", "-")
    assert loose.returncode == 0, loose.stderr
    (row,) = json.loads(loose.stdout)["results"]
    assert row["max_years"] > 1e-4
    # A float16 file cannot keep the gates of float32.
    strict = agecompact("parity", *pair, "--no-search", "--no-localise")
    assert strict.returncode == 1
    assert "mismatch" in strict.stderr
    assert "Traceback" not in strict.stderr


def test_a_file_that_is_not_there_is_the_users_mistake(
    build_of: BuildOf, agecompact: Agecompact
) -> None:
    folder = build_of("ssrnet").folder
    gone = folder / "gone.onnx"
    done = agecompact("parity", "--reference", gone, "--candidate", folder / "ssrnet_float32.onnx")
    assert done.returncode == 2
    assert f"no file at {gone}" in done.stderr


def test_a_reference_that_does_not_open_is_told_without_a_traceback(
    build_of: BuildOf, contract: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    candidate = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    pair = ("--reference", broken, "--candidate", candidate, "--contract", contract)
    done = agecompact("parity", *pair)
    assert done.returncode == 1
    assert "broken.onnx gives no reference" in done.stderr
    assert "Traceback" not in done.stderr
