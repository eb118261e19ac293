"""Traces: the last value is the output, and the scopes are the modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from torch import Tensor, nn

from agecompact.runtimes import pytorch_trace
from agecompact.runtimes.base import Trace
from agecompact.runtimes.reading import read_metadata
from agecompact.runtimes.registry import load, runtime_of
from export.flatbuffer import pack_once
from export.int8.graph import Graph
from export.int8.slim import strip
from parity_tests import inputs
from tests.marks import by_model
from tests.support import BuildOf


def trace_and_output(path: Path) -> tuple[Trace, np.ndarray]:
    session = load(runtime_of(path)).open_session(str(path), 1)
    contract = read_metadata(path).contract
    sample = next(s for s in inputs.standard(contract) if s.name == "face")
    batch = contract.tensors(sample.crops)
    return session.trace(batch), session.infer(batch)[contract.outputs[0].name]


@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae", "mobileagenet"))
@pytest.mark.parametrize("file", [".safetensors", "_float32.onnx", "_float32.tflite"])
def test_the_last_step_is_the_output_within_rounding(
    model_id: str, file: str, build_of: BuildOf
) -> None:
    steps, output = trace_and_output(build_of(model_id).folder / f"{model_id}{file}")
    # A graph with more outputs is optimised differently: other kernels may round the last bits.
    np.testing.assert_array_max_ulp(steps[-1].value.reshape(1, 1), output, maxulp=4)
    known = {"face", "outer", "middle", "inner"}
    for step in steps:
        assert step.inputs, step.output
        assert known.issuperset(step.inputs), step.output
        known.add(step.output)
    assert len({step.output for step in steps}) == len(steps)


def test_steps_of_pytorch_are_functions_in_modules(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    steps, _ = trace_and_output(build.weights)
    found = {(step.scope, step.op) for step in steps}
    assert {
        ("x_stream.blocks.0.0", "conv2d"),
        ("x_stream.blocks.0.1", "batch_norm"),
        ("stages.1.s", "flatten"),
        ("stages.2", "tanh"),
        ("", "div"),
    } <= found
    pools = [step for step in steps if step.scope == "x_stream.pool"]
    assert [step.value.shape[-1] for step in pools] == [31, 14, 6]


def test_onnx_nodes_keep_their_modules(build_of: BuildOf) -> None:
    steps, _ = trace_and_output(build_of("c3ae").folder / "c3ae_float32.onnx")
    found = {(step.scope, step.op) for step in steps}
    assert {("trunk.0.bn", "Conv"), ("trunk.0.se.squeeze", "Conv"), ("", "Concat")} <= found


def test_steps_of_tflite_include_fused_activations(build_of: BuildOf) -> None:
    steps, _ = trace_and_output(build_of("c3ae").folder / "c3ae_float32.tflite")
    assert {"CONV_2D", "CONV_2D+RELU", "MEAN"} <= {step.op for step in steps}


def test_a_depthwise_convolution_with_one_weight_is_an_average_pool(build_of: BuildOf) -> None:
    plain, _ = trace_and_output(build_of("c3ae-plain").folder / "c3ae-plain_float32.tflite")
    ops = [step.op for step in plain if step.value.ndim == 4]
    assert ops[:2] == ["CONV_2D+RELU", "AVERAGE_POOL_2D[DEPTHWISE_CONV_2D]"]
    assert "DEPTHWISE_CONV_2D" not in ops


@pytest.mark.slow
def test_other_depthwise_convolutions_stay_what_they_are(build_of: BuildOf) -> None:
    steps, _ = trace_and_output(build_of("mobileagenet").folder / "mobileagenet_float32.tflite")
    ops = [step.op for step in steps]
    assert "DEPTHWISE_CONV_2D+RELU" in ops
    assert not [op for op in ops if "POOL" in op]


def test_tensors_without_names_are_told_apart(build_of: BuildOf, tmp_path: Path) -> None:
    named = build_of("ssrnet").folder / "ssrnet_float32.tflite"
    graph = Graph.parse(named.read_bytes())
    strip(graph.model)
    path = tmp_path / "slim.tflite"
    path.write_bytes(pack_once(graph.model))
    steps, _ = trace_and_output(path)
    assert [step.op for step in steps] == [step.op for step in trace_and_output(named)[0]]
    assert len({step.output for step in steps}) == len(steps)


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(2, 2)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.trunk(one) - self.trunk(other)  # type: ignore[no-any-return]


INPUTS = {"one": torch.ones(1, 2), "other": torch.zeros(1, 2)}


def test_a_module_called_twice_is_two_steps() -> None:
    steps = pytorch_trace.trace(_Shared().eval(), INPUTS)
    assert [(step.output, step.inputs) for step in steps] == [
        ("trunk/linear", ("one",)),
        ("trunk/linear:2", ("other",)),
        ("sub", ("trunk/linear", "trunk/linear:2")),
    ]


def test_a_change_affects_later_steps() -> None:
    steps = pytorch_trace.trace(_Shared().eval(), INPUTS, lambda _, value: value * 0 + 3)
    assert all((step.value == 3).all() for step in steps)


def test_constants_are_not_inputs(tmp_path: Path) -> None:
    from agecompact.runtimes import onnxruntime

    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["": 18]>
        g (float[1] x) => (float[1] y) <float[1] one = {1}> {
            two = Constant <value_float = 2.0> ()
            three = Add(two, one)
            y = Mul(x, three)
        }
    """)
    model.graph.node[-1].name = "/head/head.0/Mul"
    onnx.save(model, tmp_path / "m.onnx")
    session = onnxruntime.BACKEND.open_session(str(tmp_path / "m.onnx"), 1)
    (step,) = session.trace({"x": np.float32([2.0])})
    assert (step.op, step.inputs, step.scope) == ("Mul", ("x",), "head.0")
    assert step.value == 6.0
