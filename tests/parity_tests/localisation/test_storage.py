"""What stands between two layers is found, and what a trace's ops hold is told."""

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
from tests.parity_tests.localisation.test_alignment import step
from tests.parity_tests.localisation.test_localise import traced
from tests.support import BuildOf

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(1, 4, 6, 5)).astype(np.float32)
ACTIVE = np.maximum(MAPS, 0)
CODES = np.round(np.clip(ACTIVE, 0, 1) * 255).astype(np.uint8)
RESTORED = CODES.astype(np.float32) / np.float32(255)


def network(active: np.ndarray, *between: Step, read: str = "act") -> Trace:
    """A relu and two ops that read it, one of them through what stands between."""
    reads = dict.fromkeys(("one", "other"), ACTIVE) | {"one": active}
    return (
        step("input", "x", "", MAPS),
        step("relu", "act", "x", ACTIVE),
        *between,
        step("mul", "one", read, reads["one"] * 2),
        step("add", "other", "act", reads["other"] + 1),
        step("sub", "y", "one other", reads["one"] * 2 - reads["other"] - 1),
    )


@pytest.mark.parametrize(
    ("first", "then"), [("QuantizeLinear", "DequantizeLinear"), ("quantize", "dequantize")]
)
def test_one_of_two_readers_is_given_a_clipped_tensor(first: str, then: str) -> None:
    """Integers are no step of a graph, but what is restored from them depends on their source."""
    between = (step(first, "q", "act", CODES), step(then, "dq", "q", RESTORED))
    found = localise(
        [network(ACTIVE)], [network(RESTORED, *between, read="dq")], precision="float32"
    )
    assert found.born_at is not None
    told = (found.born_at.op, found.born_at.candidate_op, found.born_at.candidate_tensor)
    assert told == ("relu", then, "dq")
    assert found.born_at.suspicion == "quantisation clipped range"
    rows = [(row.tensor, row.candidate_tensor) for row in found.rows]
    assert rows[1:4] == [("act", "act"), ("act", "dq"), ("one", "one")]
    assert found.most == found.born_at.row == 2


def test_a_tensor_that_is_stored_without_loss_is_not_accused() -> None:
    wrong = ACTIVE + RANDOM.normal(size=ACTIVE.shape).astype(np.float32)
    between = (step("Cast", "wide", "act", ACTIVE), step("Cast", "back", "wide", ACTIVE))
    found = localise(
        [network(ACTIVE)], [network(wrong, *between, read="back")], precision="float32"
    )
    assert found.born_at is not None
    assert (found.born_at.op, found.born_at.candidate_tensor) == ("mul", "one")


def test_an_op_that_loses_far_more_than_was_lost_before_it_is_accused() -> None:
    """Of two faults, the greater by far."""
    near = (ACTIVE * (1 + 1e-5)).astype(np.float32)
    wrong = ACTIVE + RANDOM.normal(size=ACTIVE.shape).astype(np.float32)
    found = localise(
        [network(ACTIVE)],
        [network(wrong, step("Cast", "near", "act", near), read="near")],
        precision="float32",
    )
    assert found.born_at is not None
    assert found.born_at.candidate_tensor == "one"


def test_an_image_of_integers_stands_for_other_numbers() -> None:
    pixels = RANDOM.integers(0, 256, size=MAPS.shape).astype(np.uint8)
    mine = (step("input", "x", "", pixels / np.float32(255)), step("relu", "y", "x", MAPS))
    theirs = (
        step("input", "x", "", pixels),
        step("Cast", "cast", "x", pixels.astype(np.float32)),
        step("Relu", "y", "cast", MAPS + 1),
    )
    found = localise([mine], [theirs], precision="float32")
    assert found.born_at is not None
    assert found.born_at.candidate_tensor == "y"


@pytest.mark.parametrize(
    "file", ["float32.onnx", "float32.tflite", "float16.tflite", "float32.mlpackage"]
)
def test_every_affine_op_tells_its_weights(file: str, build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    trace = traced(build.folder / f"c3ae-plain_{file}")[0]
    affine = [s for s in trace if kind_of(s.op.split("+")[0]) == AFFINE]
    sizes = [(32, 3, 3, 3), *[(32, 32, 3, 3)] * 3, (32, 32, 1, 1), (12, 512), (1, 12)]
    held = [max((c.size for c in s.constants), default=0) for s in affine]
    assert held == [int(np.prod(size)) for size in sizes]


def test_constants_cross_the_process(build_of: BuildOf) -> None:
    path = build_of("c3ae-plain").folder / "c3ae-plain_float32.onnx"
    here = traced(path)[0]
    fed = {s.output: s.value for s in here if s.op == "input"}
    with RuntimeProcess(path, RUNTIMES["onnxruntime"]) as process:
        process.open()
        there = process.trace({name: value[np.newaxis] for name, value in fed.items()})
    ours = [s for s in here if s.op != "input"]
    assert [len(s.constants) for s in there] == [len(s.constants) for s in ours]
    for one, other in zip(there, ours, strict=True):
        for mine, theirs in zip(one.constants, other.constants, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_weights_made_of_others_are_told_as_the_op_reads_them(tmp_path: Path) -> None:
    """Quantised weights are those that they stand for; integers that are none are left out."""
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
