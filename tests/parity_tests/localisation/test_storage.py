"""Tensors stored differently between two layers are found, and traces contain ops' constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Step, Trace
from agecompact.runtimes.process import RuntimeProcess
from agecompact.runtimes.registry import load
from parity_tests.localisation.localise import localise
from parity_tests.localisation.opkinds import AFFINE, kind_of
from parity_tests.localisation.report import FaultOrigin, Localisation
from tests.parity_tests.localisation.test_alignment import step
from tests.parity_tests.localisation.test_localise import traced
from tests.support import BuildOf

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(1, 4, 6, 5)).astype(np.float32)
ACTIVE = np.maximum(MAPS, 0)
WRONG = ACTIVE + RANDOM.normal(size=ACTIVE.shape).astype(np.float32)
CODES = np.round(np.clip(ACTIVE, 0, 1) * 255).astype(np.uint8)
RESTORED = CODES.astype(np.float32) / np.float32(255)


def network(active: np.ndarray, *between: Step, read: str = "act") -> Trace:
    """A relu and two ops that read it, the first through what is put between."""
    return (
        step("input", "x", "", MAPS),
        step("relu", "act", "x", ACTIVE),
        *between,
        step("mul", "one", read, active * 2),
        step("add", "other", "act", ACTIVE + 1),
        step("sub", "y", "one other", active * 2 - ACTIVE - 1),
    )


def localised(mine: Trace, theirs: Trace) -> tuple[Localisation, FaultOrigin]:
    found = localise([mine], [theirs], precision="float32")
    assert found.origin is not None
    return found, found.origin


@pytest.mark.parametrize(
    ("first", "then"), [("QuantizeLinear", "DequantizeLinear"), ("quantize", "dequantize")]
)
def test_a_tensor_clipped_for_one_of_two_readers_is_located(first: str, then: str) -> None:
    """Integers are not steps of a graph, but what is restored from them depends on their source."""
    between = (step(first, "q", "act", CODES), step(then, "dq", "q", RESTORED))
    found, origin = localised(network(ACTIVE), network(RESTORED, *between, read="dq"))
    assert (origin.op, origin.candidate_op, origin.candidate_tensor) == ("relu", then, "dq")
    assert origin.cause == "quantisation clipped range"
    rows = [(row.tensor, row.candidate_tensor) for row in found.rows]
    assert rows[1:4] == [("act", "act"), ("act", "dq"), ("one", "one")]
    assert found.greatest_increase == origin.row == 2


def test_a_tensor_stored_without_loss_is_not_blamed() -> None:
    between = (step("Cast", "wide", "act", ACTIVE), step("Cast", "back", "wide", ACTIVE))
    _, origin = localised(network(ACTIVE), network(WRONG, *between, read="back"))
    assert (origin.op, origin.candidate_tensor) == ("mul", "one")


def test_of_two_faults_the_far_greater_is_located() -> None:
    near = (ACTIVE * (1 + 1e-5)).astype(np.float32)
    between = step("Cast", "near", "act", near)
    _, origin = localised(network(ACTIVE), network(WRONG, between, read="near"))
    assert origin.candidate_tensor == "one"


def test_an_image_as_integers_is_not_compared() -> None:
    pixels = RANDOM.integers(0, 256, size=MAPS.shape).astype(np.uint8)
    mine = (step("input", "x", "", pixels / np.float32(255)), step("relu", "y", "x", MAPS))
    theirs = (
        step("input", "x", "", pixels),
        step("Cast", "cast", "x", pixels.astype(np.float32)),
        step("Relu", "y", "cast", MAPS + 1),
    )
    assert localised(mine, theirs)[1].candidate_tensor == "y"


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["float32.onnx", "float32.tflite", "float16.tflite", "float32.mlpackage"]
)
def test_traces_contain_the_weights_of_every_affine_op(file: str, build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    trace = traced(build.folder / f"c3ae-plain_{file}")[0]
    affine = [s for s in trace if kind_of(s.op.split("+")[0]) == AFFINE]
    sizes = [(32, 3, 3, 3), *[(32, 32, 3, 3)] * 3, (32, 32, 1, 1), (12, 512), (1, 12)]
    held = [max((c.size for c in s.constants), default=0) for s in affine]
    assert held == [int(np.prod(size)) for size in sizes]


def test_constants_survive_the_way_from_the_worker_process(build_of: BuildOf) -> None:
    path = build_of("ssrnet").folder / "ssrnet_float32.onnx"
    here = traced(path)[0]
    inputs = {s.output: s.value for s in here if s.op == "input"}
    with RuntimeProcess(path, RUNTIMES["onnxruntime"]) as process:
        process.open()
        there = process.trace({name: value[np.newaxis] for name, value in inputs.items()})
    for one, other in zip(there, (s for s in here if s.op != "input"), strict=True):
        for mine, theirs in zip(one.constants, other.constants, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_quantised_weights_are_traced_as_the_op_reads_them(tmp_path: Path) -> None:
    """As the numbers that their integers represent; other integers are left out."""
    codes = RANDOM.integers(-127, 128, size=(3, 2)).astype(np.int8)
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["codes", "step"], ["weights"]),
            helper.make_node("Gemm", ["x", "weights"], ["flat"], transB=1),
            helper.make_node("Reshape", ["flat", "shape"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 1])],
        [
            numpy_helper.from_array(codes, "codes"),
            numpy_helper.from_array(np.float32(0.25), "step"),
            numpy_helper.from_array(np.int64([3, 1]), "shape"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    session = load(RUNTIMES["onnxruntime"]).open_session(str(tmp_path / "m.onnx"), 1)
    gemm, reshape = session.trace({"x": np.ones((1, 2), np.float32)})
    (weights,) = gemm.constants
    np.testing.assert_array_equal(weights, codes * np.float32(0.25))
    assert reshape.constants == ()
