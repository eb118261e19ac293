"""The quantisation, the sizes and the IR version that model files declare."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from agecompact.contract import Quantization
from agecompact.errors import UsageError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Backend, Port
from agecompact.runtimes.registry import load
from tests.tiny_files import SIDE, Head, Network, write_onnx, write_tflite

QUANTISED = Network({"age": Head(scale=(0.5, -100))}, "int8", (1 / 255, -128), channels_last=True)
WRITERS = {
    "onnxruntime": write_onnx,
    "litert": write_tflite,
    "litert, by its signature": partial(write_tflite, signature=True),
}


@given(st.floats(1e-6, 1e3), st.integers(-128, 127), st.lists(st.integers(-128, 127), min_size=1))
def test_integers_stand_for_numbers_a_scale_apart(scale: float, zero: int, values) -> None:
    real = Quantization(scale, zero).real(np.array(values, np.int8))
    assert real.tolist() == [scale * (value - zero) for value in values]


@pytest.fixture(params=WRITERS)
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param != "onnxruntime":
        pytest.importorskip("ai_edge_litert")
    return str(request.param)


def backend_of(runtime: str) -> Backend:
    return load(RUNTIMES[runtime.partition(",")[0]])


def test_the_quantisation_of_inputs_and_outputs_is_read(runtime: str, tmp_path: Path) -> None:
    path = WRITERS[runtime](tmp_path / "file", QUANTISED)
    backend = backend_of(runtime)
    interface = backend.open_session(str(path), 1).interface()
    scale = float(np.float32(1 / 255))
    image = Port((1, SIDE, SIDE, 3), "int8", Quantization(scale, -128))
    assert interface.inputs == {"image": image}
    assert interface.outputs == {"age": Port((1, 1), "int8", Quantization(0.5, -100))}
    described = backend.describe(str(path))
    (output,) = described["outputs"].values()
    assert output == {
        "shape": [1, 1],
        "dtype": "int8",
        "quantization": {"scale": 0.5, "zero_point": -100},
    }
    (input_,) = described["inputs"].values()
    assert input_["quantization"]["scale"] == scale


def test_a_session_takes_the_sizes_that_its_file_leaves_open(runtime: str, tmp_path: Path) -> None:
    network = Network(batch=None, side=None, channels_last=True)
    path = WRITERS[runtime](tmp_path / "file", network)
    session = backend_of(runtime).open_session(str(path), 1)
    assert session.interface().inputs["image"].shape == (None, None, None, 3)
    for batch, side in ((2, 8), (3, 32), (3, 32), (1, 1)):
        image = np.full((batch, side, side, 3), 0.5, np.float32)
        image[0] = 1.0
        found = session.infer({"image": image})["age"]
        assert found.shape == (batch, 1)
        assert found[:, 0] == pytest.approx([80.0, *[45.0] * (batch - 1)])


def _read_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["image"], ["other"]))


def _by_channel(model: onnx.ModelProto) -> None:
    (scale,) = (i for i in model.graph.initializer if i.name == "input s")
    scale.CopyFrom(numpy_helper.from_array(np.ones(3, np.float32), scale.name))


def _computed(model: onnx.ModelProto) -> None:
    (scale,) = (i for i in model.graph.initializer if i.name == "input s")
    scale.name = "before"
    model.graph.node.insert(0, helper.make_node("Abs", ["before"], ["input s"]))


def _infinite(model: onnx.ModelProto) -> None:
    (scale,) = (i for i in model.graph.initializer if i.name == "input s")
    scale.CopyFrom(numpy_helper.from_array(np.float32("inf"), scale.name))


@pytest.mark.parametrize("change", [_read_twice, _by_channel, _computed, _infinite])
def test_what_is_not_one_quantisation_is_none(change, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "file", QUANTISED)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    described = load(RUNTIMES["onnxruntime"]).describe(str(path))
    assert "quantization" not in described["inputs"]["image"]
    assert "quantization" in described["outputs"]["age"]


def test_names_of_open_sides_and_constants_among_the_inputs(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "file", Network(batch=None, side=None))
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("age w", 1, [3, 1]))
    onnx.save(model, path)
    described = load(RUNTIMES["onnxruntime"]).describe(str(path))
    assert described["inputs"] == {"image": {"shape": ["N", 3, "N", "N"], "dtype": "float32"}}
    assert described["ir_version"] == 9


def test_a_refused_ir_version_has_a_cure_that_works(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "new.onnx", Network(), ir_version=99)
    backend = load(RUNTIMES["onnxruntime"])
    with pytest.raises(UsageError, match="cannot load") as refused:
        backend.open_session(str(path), 1)
    assert "its IR version is 99, and onnxruntime" in refused.value.why
    first, *lines = refused.value.fix.split("\n")
    assert "upgrade onnxruntime" in first
    exec("\n".join(lines))
    (cured,) = (each for each in tmp_path.iterdir() if each != path)
    assert backend.open_session(str(cured), 1).interface().outputs.keys() == {"age"}
