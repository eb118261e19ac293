"""Float64 of an ONNX file: its numbers are PyTorch's, and what it does not compute is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch.nn import functional

from agecompact.errors import UsageError
from agecompact.formats import RUNTIMES
from agecompact.runtimes import onnx_float64
from agecompact.runtimes.base import Session
from agecompact.runtimes.registry import load
from tests.tiny_files import Head, Network, write_onnx

BACKEND = load(RUNTIMES["onnx-float64"])
EXACT = 1e-9
SIDE = 9
SHAPE = (1, 3, SIDE, SIDE)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.uniform(-1, 1, SHAPE).astype(np.float32)


def constant(*shape: int) -> np.ndarray:
    return RANDOM.uniform(0.1, 1, shape).astype(np.float32)


CONSTANTS = {
    "kernel": constant(4, 3, 3, 3) - np.float32(0.5),
    "each": constant(4, 1, 3, 3) - np.float32(0.5),
    **{name: constant(4) for name in ("bias", "gamma", "beta", "mean", "variance")},
    "weight": constant(4, 5) - np.float32(0.5),
    "half": constant(5).astype(np.float16),
}
node = helper.make_node
NETWORK = [
    node("Conv", ["image", "kernel", "bias"], ["a"], pads=[1] * 4, strides=[2, 2]),
    node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["b"], epsilon=1e-3),
    node("Sigmoid", ["b"], ["c"]),
    node("Conv", ["c", "each"], ["d"], pads=[1] * 4, group=4),
    node("LeakyRelu", ["d"], ["e"], alpha=0.1),
    node("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[1, 1]),
    node("GlobalAveragePool", ["f"], ["g"]),
    node("Flatten", ["g"], ["h"]),
    node("MatMul", ["h", "weight"], ["i"]),
    node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT),
    node("Add", ["i", "whole"], ["j"]),
    node("Constant", [], ["third"], value_float=1 / 3),
    node("Mul", ["j", "third"], ["k"]),
    node("Softmax", ["k"], ["l"]),
    node("Shape", ["l"], ["shape"]),
    node("ConstantOfShape", ["shape"], ["zeros"]),
    node("Sub", ["l", "zeros"], ["answer"]),
]


def saved(path: Path, nodes: Sequence[NodeProto], output: Sequence[int] = (1, 5)) -> Path:
    """Writes a graph from `image` to `answer`, which may read any of the constants."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("image", TensorProto.FLOAT, SHAPE)],
        [value("answer", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def opened(path: Path) -> Session:
    return BACKEND.open_session(str(path), 1)


def in_pytorch(image: np.ndarray) -> np.ndarray:
    w = {name: torch.from_numpy(array).double() for name, array in CONSTANTS.items()}
    found = torch.from_numpy(image).double()
    found = functional.conv2d(found, w["kernel"], w["bias"], stride=2, padding=1)
    statistics = (w["mean"], w["variance"], w["gamma"], w["beta"])
    found = functional.batch_norm(found, *statistics, eps=float(np.float32(1e-3)))
    found = found.sigmoid()
    found = functional.conv2d(found, w["each"], padding=1, groups=4)
    found = functional.leaky_relu(found, float(np.float32(0.1)))
    found = functional.max_pool2d(found, 2, 1).mean((2, 3))
    found = (found @ w["weight"] + w["half"]) * float(np.float32(1 / 3))
    return found.softmax(1).numpy()


def test_its_numbers_are_pytorchs_in_float64(tmp_path: Path) -> None:
    session = opened(saved(tmp_path / "net.onnx", NETWORK))
    (answer,) = session.infer({"image": IMAGE}).values()
    assert answer.dtype == np.float64
    np.testing.assert_allclose(answer, in_pytorch(IMAGE), rtol=EXACT)
    # The file is still one of float32 for its callers.
    assert {p.dtype for p in session.interface().inputs.values()} == {"float32"}


def test_graphs_inside_nodes_are_float64(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("inside", TensorProto.FLOAT, [1])
    tenth = numpy_helper.from_array(np.array([0.1], np.float32))
    branch = helper.make_graph([node("Constant", [], ["inside"], value=tenth)], "b", [], [value])
    yes = numpy_helper.from_array(np.array(True))
    nodes = [
        node("Constant", [], ["yes"], value=yes),
        node("If", ["yes"], ["part"], then_branch=branch, else_branch=branch),
        node("ReduceSum", ["image"], ["sum"], keepdims=0),
        node("Mul", ["sum", "part"], ["answer"]),
    ]
    (answer,) = opened(saved(tmp_path / "net.onnx", nodes, [1])).infer({"image": IMAGE}).values()
    exact = IMAGE.astype(np.float64).sum() * np.float64(np.float32(0.1))
    np.testing.assert_allclose(answer, exact, rtol=EXACT)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Network(dtype="float16"), "'image' is in half precision"),
        (Network(dtype="uint8", scale=(1 / 255, 0)), "op DequantizeLinear is quantised"),
        (Network({"age": Head(scale=(0.5, 0))}), "op QuantizeLinear is quantised"),
    ],
)
def test_files_that_round_on_purpose_are_not_evaluated(
    network: Network, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        opened(write_onnx(tmp_path / "net.onnx", network))
    assert (refused.value.what, refused.value.why) == ("no float64 evaluation", reason)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (node("QuickGelu", ["image"], ["answer"], domain="com.microsoft"), "op QuickGelu of"),
        (node("Unknown", ["image"], ["answer"]), "onnx.reference cannot load it"),
        (node("Cast", ["image"], ["answer"], to=TensorProto.BFLOAT16), "op Cast rounds to half"),
        (node("RandomNormal", [], ["answer"], shape=[1, 5]), "op RandomNormal computes in float32"),
    ],
)
def test_an_op_without_float64_is_named(one: NodeProto, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        opened(saved(tmp_path / "net.onnx", [one])).infer({"image": IMAGE})
    assert reason in refused.value.why


def test_widening_leaves_no_float32(tmp_path: Path) -> None:
    model = onnx.load(saved(tmp_path / "net.onnx", NETWORK))
    onnx_float64.widen(model)
    onnx.checker.check_model(model)
    types = {each.data_type for each in model.graph.initializer}
    assert types == {TensorProto.DOUBLE, TensorProto.FLOAT16}
