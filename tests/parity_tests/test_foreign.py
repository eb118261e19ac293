"""Any pair of models: other names, another layout, no metadata, several outputs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from agecompact.errors import BackendMissingError, UsageError
from agecompact.formats import RUNTIMES
from agecompact.serialization import write_versioned
from parity_tests.foreign import Side, check_pair
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import in_onnx, in_tflite, initializer, renamed_port
from tests.support import Agecompact, BuildOf

QUICK = CheckSettings(budget=None, float64_s=None)


@pytest.fixture
def contract(build_of: BuildOf, tmp_path: Path) -> Path:
    path = tmp_path / "contract.json"
    write_versioned(path, build_of("ssrnet").manifest.contract)
    return path


@pytest.fixture
def folder(build_of: BuildOf) -> Path:
    return build_of("ssrnet").folder


@pytest.fixture
def foreign(folder: Path, tmp_path: Path) -> Path:
    """The same network without metadata, with other names for its input and output."""

    def change(model: onnx.ModelProto) -> None:
        del model.metadata_props[:]
        renamed_port("input", "input.1")(model)
        renamed_port("output", "1234")(model)

    path = Path(shutil.copy(folder / "ssrnet_float32.onnx", tmp_path / "theirs.onnx"))
    in_onnx(change)(path)
    return path


def assert_passed(result: Result) -> None:
    assert (result.status, result.kind) == ("passed", None), result.reason


def test_a_foreign_file_is_checked_by_a_contract(
    folder: Path, foreign: Path, contract: Path
) -> None:
    (result,) = check_pair(
        Side(folder / "ssrnet_float32.tflite", contract), Side(foreign, contract), QUICK
    )
    assert_passed(result)
    assert result.max_error is not None
    assert result.max_error > 0.0


def test_a_wrong_foreign_file_fails_with_the_faulty_op(
    folder: Path, foreign: Path, contract: Path
) -> None:
    def scale(model: onnx.ModelProto) -> None:
        wide = {i.name for i in model.graph.initializer if len(i.dims) == 4 and i.dims[1] > 3}
        name = next(node.name for node in model.graph.node if wide & {*node.input})
        initializer(name, lambda values: values * np.float32(1.1))(model)

    in_onnx(scale)(foreign)
    (result,) = check_pair(
        Side(folder / "ssrnet_float32.onnx", contract), Side(foreign, contract), QUICK
    )
    assert (result.status, result.kind) == ("failed", "mismatch")
    assert result.localisation is not None
    assert result.localisation["originates_at"] is not None
    assert "Conv" in result.localisation["originates_at"]["candidate_op"]


def test_a_tflite_file_without_metadata_and_signature_passes(
    folder: Path, contract: Path, tmp_path: Path
) -> None:
    def strip(model: Any) -> None:
        model.signatureDefs, model.metadata = [], []
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].name = b"serving_default_input:0"

    candidate = Path(shutil.copy(folder / "ssrnet_float32.tflite", tmp_path / "theirs.tflite"))
    in_tflite(strip)(candidate)
    assert_passed(
        *check_pair(
            Side(folder / "ssrnet_float32.onnx", contract), Side(candidate, contract), QUICK
        )
    )


def test_without_metadata_a_contract_is_needed(folder: Path, foreign: Path) -> None:
    with pytest.raises(UsageError, match="does not contain a contract") as refused:
        check_pair(Side(foreign), Side(folder / "ssrnet_float32.tflite"), QUICK)
    assert "--contract FILE" in refused.value.fix


def test_each_of_several_outputs_is_compared(contract: Path, tmp_path: Path) -> None:
    """A network with ten outputs, the last of which is wrong."""

    def network(name: str, last_scale: float = 1.0) -> Path:
        nodes = [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ]
        weights = np.arange(30, dtype=np.float32).reshape(3, 10) / 30
        weights[:, 9] *= last_scale
        graph = helper.make_graph(
            nodes,
            "ten",
            [helper.make_tensor_value_info("x", 1, [1, 3, 64, 64])],
            [helper.make_tensor_value_info("y", 1, [1, 10])],
            [onnx.numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    right, same = network("right.onnx"), network("same.onnx")
    assert_passed(*check_pair(Side(right, contract), Side(same, contract), QUICK))
    wrong = network("wrong.onnx", 1.01)
    (result,) = check_pair(Side(right, contract), Side(wrong, contract), QUICK)
    assert (result.status, result.kind) == ("failed", "mismatch")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_core_ml_package_has_the_gates_of_core_ml(precision: str, build_of: BuildOf) -> None:
    pytest.importorskip("coremltools")
    # Not SSR-Net: driven far beyond what it was made for, an untrained one divides by nearly 0,
    # and float16 costs years.
    folder = build_of("c3ae-plain").folder
    reference = folder / "c3ae-plain_float32.onnx"
    (result,) = check_pair(
        Side(reference),
        Side(folder / f"c3ae-plain_{precision}.mlpackage", runtime=RUNTIMES["mil"]),
        QUICK,
        precision=precision,
    )
    assert_passed(result)
    tolerances = QUICK.tolerances
    gates = tolerances.of(
        width=100.0, format="coreml", precision=precision, runtime="mil", model=reference.name
    )
    assert result.tolerance == gates
    assert gates != tolerances.of(
        width=100.0, format="onnx", precision="float32", runtime="onnxruntime", model="c3ae-plain"
    )


def test_the_command_checks_a_pair(build_of: BuildOf, agecompact: Agecompact) -> None:
    folder = build_of("ssrnet").folder
    reference = folder / "ssrnet_float32.onnx"
    candidate = folder / "ssrnet_float16.tflite"
    pair = ("parity", "--reference", reference, "--candidate", candidate, "--no-search")
    loose = agecompact(*pair, "--precision", "float16", "--json", "-")
    assert loose.returncode == 0, loose.stderr
    assert "Error against ssrnet_float32.onnx in years" in loose.stderr
    (row,) = json.loads(loose.stdout)["results"]
    assert row["max_error"] > 1e-4
    # A float16 file does not pass the gates of float32.
    strict = agecompact(*pair, "--no-localise")
    assert strict.returncode == 1
    assert "mismatch" in strict.stderr
    assert "Traceback" not in strict.stderr


def test_a_missing_file_is_a_usage_error(folder: Path, agecompact: Agecompact) -> None:
    gone = folder / "gone.onnx"
    done = agecompact("parity", "--reference", gone, "--candidate", folder / "ssrnet_float32.onnx")
    assert done.returncode == 2
    assert f"no file at {gone}" in done.stderr


def test_a_broken_reference_is_an_error_without_a_traceback(
    folder: Path, contract: Path, tmp_path: Path, agecompact: Agecompact
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    candidate = folder / "ssrnet_float32.onnx"
    pair = ("--reference", broken, "--candidate", candidate, "--contract", contract)
    done = agecompact("parity", *pair)
    assert done.returncode == 2
    assert "broken.onnx cannot be used as a reference" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["ssrnet_float32.onnx", "ssrnet_float32.tflite"])
def test_a_damaged_reference_is_an_unreadable_input(
    name: str, folder: Path, contract: Path, tmp_path: Path
) -> None:
    whole = (folder / name).read_bytes()
    damaged = tmp_path / name
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="cannot be used as a reference"):
        check_pair(Side(damaged, contract), Side(folder / "ssrnet_float32.onnx", contract), QUICK)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_a_reference_whose_runtime_is_missing_is_an_error_of_the_environment(
    folder: Path, contract: Path
) -> None:
    with pytest.raises(BackendMissingError, match="cannot be used as a reference"):
        check_pair(
            Side(folder / "ssrnet_float32.mlpackage", contract),
            Side(folder / "ssrnet_float32.onnx", contract),
            QUICK,
        )
