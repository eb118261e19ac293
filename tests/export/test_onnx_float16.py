"""Float16 ONNX files, read with onnx and run with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from export.onnx_float16 import store_half
from tests.marks import by_model
from tests.support import BuildOf

MODELS = by_model("ssrnet", "c3ae", "mobileagenet")


@pytest.fixture(params=MODELS)
def models(request: pytest.FixtureRequest, build_of: BuildOf) -> tuple[onnx.ModelProto, ...]:
    """The float32 model of a build, and the same in float16."""
    folder = build_of(request.param).folder
    full = onnx.load(folder / f"{request.param}_float32.onnx")
    half = onnx.load(folder / f"{request.param}_float32.onnx")
    store_half(half)
    return full, half


def test_every_weight_is_unchanged_or_rounded_to_the_nearest_float16(
    models: tuple[onnx.ModelProto, ...],
) -> None:
    full, half = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in models)
    assert len(full) == len(half)
    kept = rounded = 0
    for name, values in half.items():
        original = full[name.removesuffix("_float16")]
        np.testing.assert_array_equal(values, original.astype(values.dtype))
        if original.ndim > 1 and original.dtype == np.float32:
            kept += values.size if values.dtype == np.float32 else 0
            rounded += values.size if values.dtype == np.float16 else 0
    assert kept <= 0.05 * rounded


def test_what_reads_the_input_stays_float32(models: tuple[onnx.ModelProto, ...]) -> None:
    _, half = models
    stored = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    inputs = {value.name for value in half.graph.input}
    first = [n for n in half.graph.node if n.op_type == "Conv" and n.input[0] in inputs]
    for node in first:
        assert stored[node.input[1]] == onnx.TensorProto.FLOAT


def test_it_computes_as_fast_as_float32(
    models: tuple[onnx.ModelProto, ...], tmp_path: Path
) -> None:
    """ONNX Runtime's optimised graphs have the same ops."""
    kinds = []
    for i, model in enumerate(models):
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{i}.onnx")
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        kinds.append(sorted(n.op_type for n in onnx.load(tmp_path / f"{i}.onnx").graph.node))
    assert kinds[0] == kinds[1]


def test_it_is_valid_and_half_the_size(models: tuple[onnx.ModelProto, ...]) -> None:
    full, half = models
    onnx.checker.check_model(half, full_check=True)
    assert [v.type for v in (*half.graph.input, *half.graph.output)] == [
        v.type for v in (*full.graph.input, *full.graph.output)
    ]
    assert half.ByteSize() < 0.65 * full.ByteSize()
