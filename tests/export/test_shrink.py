"""A network that shrinks its inputs first: what the shipped small networks do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from agecompact.contract import Contract
from agecompact.formats import TARGETS
from agecompact.models import registry
from agecompact.weights import checkpoints
from export import pipeline
from export.flatbuffer import pack
from export.image_input import take_images
from export.int8.graph import Graph
from export.int8.plan import plan_of
from export.passes.centring import centre_inputs
from parity_tests.inputs import fixed
from tests.export.int8.models import batch
from tests.pictures import answers
from tests.support import random_network

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")

_SHRINK = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A random SSR-Net with inputs of 192 x 192, by precision."""
    folder = tmp_path_factory.mktemp("shrink")
    weights = folder / "ssrnet.safetensors"
    config = {"shrink": _SHRINK}
    network = random_network("ssrnet")
    checkpoints.write(weights, network, model_id="ssrnet", config=config)
    targets = tuple(target for target in TARGETS if target.format.name != "coreml")
    pipeline.export(pipeline.Request(weights, targets, folder))
    return {
        target.precision.name: (folder / "ssrnet" / target.file_name("ssrnet")).read_bytes()
        for target in targets
        if target.format.name == "tflite"
    }


@pytest.fixture(scope="module")
def contract() -> Contract:
    return registry.contract_of("ssrnet", {"shrink": _SHRINK})


def faces(contract: Contract) -> npt.NDArray[np.float32]:
    """Float32 NCHW, BGR, in the size of a contract."""
    return batch(contract, fixed(contract))["face"]


def test_it_answers_as_the_papers_network_for_the_means(
    files: dict[str, bytes], contract: Contract
) -> None:
    large = faces(contract)
    count, channels, height, width = large.shape
    squares = large.reshape(count, channels, height // _SHRINK, _SHRINK, width // _SHRINK, _SHRINK)
    with torch.no_grad():
        right = random_network("ssrnet")(torch.from_numpy(squares.mean((3, 5))))[:, 0].numpy()
    assert np.ptp(right) > 1
    made = answers(files["float32"], {"face": large.transpose(0, 2, 3, 1)})
    np.testing.assert_allclose(made, right, atol=3e-4)


def test_half_precision_counts_the_mean_as_no_layer(files: dict[str, bytes]) -> None:
    """A mean of 9 pixels is not a number of float16, and the layers that read it stay float32."""
    graph = Graph.parse(files["float16"])
    readers = [op for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    for op in readers[:3]:
        if graph.shape(op.inputs[1])[-1] == 3:
            assert graph.constant(op.inputs[1]) is not None
    assert sum(graph.shape(op.inputs[1])[-1] == 3 for op in readers[:3]) >= 2


def test_a_picture_still_costs_one_op(files: dict[str, bytes], contract: Contract) -> None:
    before = [op.kind for op in Graph.parse(files["float32"]).ops]
    picture = take_images(files["float32"], contract)
    assert [op.kind for op in Graph.parse(picture).ops] == ["DEQUANTIZE", *before]
    bgr = faces(contract).transpose(0, 2, 3, 1)
    rgb = bgr[..., ::-1].astype(np.uint8)
    right = answers(files["float32"], {"face": bgr})
    np.testing.assert_allclose(answers(picture, {"face": rgb}), right, atol=1e-4)


def test_int8_shrinks_the_image_in_float(files: dict[str, bytes]) -> None:
    graph = Graph.parse(files["float32"])
    plan = plan_of(graph)
    (shrinks,) = (op for op in graph.ops if op.inputs[0] in graph.inputs)
    assert shrinks.kind == "DEPTHWISE_CONV_2D"
    assert shrinks.index not in plan.body
    assert {op.index for op in graph.readers(shrinks.output)} <= plan.body


def test_half_precision_takes_the_middle_level_off_in_the_mean(
    files: dict[str, bytes], contract: Contract
) -> None:
    graph = Graph.parse(files["float32"])
    kinds = [op.kind for op in graph.ops]
    centre_inputs(graph, contract.table()[0])
    assert [op.kind for op in graph.ops] == kinds
    bias = graph.constant(graph.ops[0].inputs[2])
    assert bias is not None
    assert bias.tolist() == [-128.0] * 3
    bgr = {"face": faces(contract).transpose(0, 2, 3, 1)}
    right = answers(files["float32"], bgr)
    np.testing.assert_allclose(answers(pack(graph.model), bgr), right, atol=2e-4)


def test_a_mean_that_differs_by_colour_turns_with_the_colours(
    files: dict[str, bytes], contract: Contract
) -> None:
    """int8 makes channels equally wide, the three of the image among them."""
    graph = Graph.parse(files["float32"])
    shrinks = graph.ops[0]
    mean = graph.constant(shrinks.inputs[1])
    assert mean is not None
    graph.set_constant(shrinks.inputs[1], mean * np.array([1.0, 0.5, 0.25], np.float32))
    content = pack(graph.model)
    picture = take_images(content, contract)
    assert [op.kind for op in Graph.parse(picture).ops] == [
        "DEQUANTIZE",
        *(op.kind for op in graph.ops),
    ]
    bgr = faces(contract).transpose(0, 2, 3, 1)
    right = answers(content, {"face": bgr})
    rgb = bgr[..., ::-1].astype(np.uint8)
    np.testing.assert_allclose(answers(picture, {"face": rgb}), right, atol=1e-4)
