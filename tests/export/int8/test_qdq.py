"""ONNX files in int8: they answer as the int8 TFLite files do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from agecompact.artifacts.manifest import CalibrationSet
from agecompact.contract import Contract
from agecompact.errors import ConversionError
from export.int8 import record, twin
from export.int8.calibrate import calibrate
from export.int8.record import Origin
from export.int8.writer import to_int8
from export.onnx_int8 import exported
from export.to_onnx import OPSET
from tests.export.int8.models import Arrays, answers, faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")

ORIGIN = Origin("a" * 64, CalibrationSet(40, "b" * 64))


@pytest.fixture(scope="module", params=by_model("ssrnet", "c3ae"))
def made(request: pytest.FixtureRequest, build_of: BuildOf) -> tuple[Contract, bytes, bytes]:
    build = build_of(request.param)
    contract, content = build.manifest.contract, float_file(build)
    found = record.of(content, calibrate(content, faces_of(contract, 40)), ORIGIN)
    model = exported(content, found, contract, OPSET)
    return contract, model.SerializeToString(), to_int8(content, found.calibration(content))


def onnx_answers(content: bytes, faces: Arrays) -> np.ndarray:
    session = onnxruntime.InferenceSession(content)
    count = len(next(iter(faces.values())))
    calls = [{n: v[i : i + 1] for n, v in faces.items()} for i in range(count)]
    return np.array([float(np.ravel(session.run(None, call)[0])[0]) for call in calls])


def test_it_answers_as_the_tflite_file(made: tuple[Contract, bytes, bytes]) -> None:
    contract, model, tflite = made
    faces = faces_of(contract, 12)
    right = answers(tflite, faces)
    assert np.ptp(right) > 1
    # Where a sum is half way between two steps, the runtimes round to different ones.
    np.testing.assert_allclose(onnx_answers(model, faces), right, atol=0.3)


def test_onnx_runtime_runs_its_convolutions_in_int8(
    made: tuple[Contract, bytes, bytes], tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(made[1], options)
    count = Counter(n.op_type for n in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert count["QLinearConv"] > 5
    assert count["Conv"] == 0


def test_an_op_that_is_unknown_is_an_error(
    build_of: BuildOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = build_of("ssrnet")
    contract, content = build.manifest.contract, float_file(build)
    monkeypatch.setattr(twin, "_OPS", {k: v for k, v in twin._OPS.items() if k != "TANH"})
    found = record.of(content, calibrate(content, faces_of(contract, 33)), ORIGIN)
    with pytest.raises(ConversionError, match=r"cannot be written in int8\nwhy: TANH is unknown"):
        exported(content, found, contract, OPSET)


def test_its_inputs_and_outputs_are_those_of_the_contract(
    made: tuple[Contract, bytes, bytes],
) -> None:
    contract, content, _ = made
    graph = onnx.load_model_from_string(content).graph
    assert tuple(each.name for each in graph.input) == contract.input_names
    assert tuple(each.name for each in graph.output) == contract.output_names
    integers = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    weights = [each for each in graph.initializer if each.data_type in integers]
    floats = [each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    assert sum(np.prod(w.dims) for w in weights) > 4 * sum(np.prod(w.dims) for w in floats)
