"""Files that take pictures answer as files that take tensors, and cost hardly more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agecompact.contract import Contract, Crop, Output
from agecompact.runtimes.process import RuntimeProcess
from export.flatbuffer import pack
from export.image_input import take_images
from export.int8.graph import Graph
from parity_tests.inputs import Sample, fixed
from tests.export.int8.models import faces_of, int8_of
from tests.marks import by_model
from tests.pictures import answers
from tests.support import BuildOf
from tests.tiny_files import SIDE, Head, Network, write_tflite

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

Arrays = dict[str, npt.NDArray[Any]]


def pictures(contract: Contract, samples: Sequence[Sample]) -> Arrays:
    """Crops as a camera gives them: uint8 NHWC, RGB, without the code under test."""
    filters = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
    size, how = (contract.width, contract.height), filters[contract.interpolation]
    return {
        name: np.stack(
            [cv2.resize(s.crops[name], size, interpolation=how)[..., ::-1] for s in samples]
        )
        for name in contract.input_names
    }


def tensors(contract: Contract, samples: Sequence[Sample]) -> Arrays:
    """Crops as the network takes them, float32 NHWC."""
    return {
        name: contract.stack([s.crops[name] for s in samples]).transpose(0, 2, 3, 1)
        for name in contract.input_names
    }


@pytest.mark.parametrize(
    ("model_id", "precision"),
    by_model(
        ("ssrnet", "float32"),
        ("ssrnet", "float16"),
        ("c3ae", "float32"),
        ("mobileagenet", "float32"),
    ),
)
def test_a_networks_answers_stay(
    model_id: str, precision: str, build_of: BuildOf, tmp_path: Path
) -> None:
    build = build_of(model_id)
    contract = build.manifest.contract
    content = (build.folder / f"{model_id}_{precision}.tflite").read_bytes()
    made = take_images(content, contract)
    samples = fixed(contract)
    right = answers(content, tensors(contract, samples))
    assert np.ptp(right) > 1
    np.testing.assert_allclose(answers(made, pictures(contract, samples)), right, atol=1e-4)
    assert not np.allclose(
        answers(made, {n: v[..., ::-1] for n, v in pictures(contract, samples).items()}),
        right,
        atol=1e-2,
    ), "the colours do not matter: this proves nothing"
    (tmp_path / "image.tflite").write_bytes(made)
    with RuntimeProcess(tmp_path / "image.tflite") as process:
        opened = process.open()
    assert opened.placement is not None
    assert (opened.placement.partitions, dict(opened.placement.fallback_ops)) == (1, {})
    assert {n: (p.shape, p.dtype) for n, p in opened.interface.inputs.items()} == dict.fromkeys(
        contract.input_names, ((1, contract.height, contract.width, 3), "uint8")
    )


@pytest.mark.parametrize(("model_id", "steps"), by_model(("ssrnet", 1), ("c3ae", 3)))
def test_a_picture_costs_one_op(model_id: str, steps: int, build_of: BuildOf) -> None:
    build = build_of(model_id)
    content = (build.folder / f"{model_id}_float32.tflite").read_bytes()
    before = [op.kind for op in Graph.parse(content).ops]
    after = [op.kind for op in Graph.parse(take_images(content, build.manifest.contract)).ops]
    assert after == ["DEQUANTIZE"] * steps + before


@pytest.mark.slow
@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae"))
def test_int8_answers_stay_bit_by_bit(model_id: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    contract = build.manifest.contract
    content = (build.folder / f"{model_id}_float32.tflite").read_bytes()
    int8 = int8_of(content, faces_of(contract, 48))
    samples = fixed(contract)
    made = take_images(int8, contract)
    right = answers(int8, tensors(contract, samples))
    np.testing.assert_array_equal(answers(made, pictures(contract, samples)), right)


def tiny(color_order: Any, **values: Any) -> Contract:
    outputs = (Output("age", "years"),)
    return Contract((Crop("image"),), SIDE, SIDE, color_order, outputs, **values)


@pytest.mark.parametrize("color_order", ["RGB", "BGR"])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"value_range": (0.0, 1.0)},
        {"value_range": (-1.0, 1.0)},
        {"value_range": (1.0, 0.0)},
        {"mean": (127.0,) * 3, "std": (128.0,) * 3},
        {"value_range": (0.0, 1.0), **_IMAGENET},
        {"value_range": (0.0, 1.0), "mean": (0.0, 0.1, 0.0)},
    ],
)
def test_any_normalisation_is_in_the_graph(
    color_order: str, values: dict[str, Any], tmp_path: Path
) -> None:
    # Its mean over a picture is no convolution, so an op must move the colours of BGR.
    contract = tiny(color_order, **values)
    weights, shift = (3.0, 5.0, -7.0), 11.0
    network = Network({"age": Head((weights,), shift)}, channels_last=True)
    path = write_tflite(tmp_path / "tiny.tflite", network, signature=True)
    image = np.random.default_rng(3).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    made = take_images(path.read_bytes(), contract)
    ordered = image if color_order == "RGB" else image[..., ::-1]
    low, high = contract.value_range
    normal = (ordered / 255 * (high - low) + low - contract.mean) / contract.std
    expected = normal.mean(axis=(1, 2)) @ np.array(weights) + shift
    np.testing.assert_allclose(answers(made, {"image": image}), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "quantization"),
    [
        ({"value_range": (0.0, 1.0)}, (1 / 255, 0)),
        ({"mean": (127.0,) * 3, "std": (128.0,) * 3}, (1 / 128, 127)),
        # No level is 0, or light is dark.
        ({"value_range": (-1.0, 1.0)}, (1.0, 0)),
        ({"value_range": (1.0, 0.0)}, (1.0, 0)),
        ({"value_range": (0.0, 1.0), **_IMAGENET}, (1.0, 0)),
    ],
)
def test_a_scale_and_a_level_of_zero_need_no_op_of_their_own(
    values: dict[str, Any], quantization: tuple[float, int], tmp_path: Path
) -> None:
    network = Network(channels_last=True)
    content = write_tflite(tmp_path / "tiny.tflite", network, signature=True).read_bytes()
    path = tmp_path / "image.tflite"
    path.write_bytes(take_images(content, tiny("RGB", **values)))
    with RuntimeProcess(path) as process:
        port = process.open().interface.inputs["image"]
    assert port.quantization is not None
    assert port.quantization.scale == pytest.approx(quantization[0])
    assert port.quantization.zero_point == quantization[1]
    kinds = [op.kind for op in Graph.parse(path.read_bytes()).ops]
    assert ("MUL" in kinds) == (quantization == (1.0, 0))


def test_filters_that_something_else_reads_stay(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    contract = build.manifest.contract
    graph = Graph.parse((build.folder / "ssrnet_float32.tflite").read_bytes())
    first = next(op for op in graph.ops if op.kind == "CONV_2D")
    unread = graph.add_tensor("unread", graph.shape(first.inputs[1]))
    graph.insert_op(len(graph.ops), "ABS", (first.inputs[1],), unread)
    content = pack(graph.model)
    made = take_images(content, contract)
    kinds = [op.kind for op in Graph.parse(made).ops]
    assert kinds[:2] == ["DEQUANTIZE", "CONV_2D"]
    assert kinds.count("CONV_2D") == [op.kind for op in graph.ops].count("CONV_2D") + 1
    samples = fixed(contract)
    right = answers(content, tensors(contract, samples))
    np.testing.assert_array_equal(answers(made, pictures(contract, samples)), right)


def test_filters_stored_in_half_are_turned_where_they_are_stored(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    contract = build.manifest.contract
    graph = Graph.parse((build.folder / "ssrnet_float32.tflite").read_bytes())
    first = [op for op in graph.ops if op.inputs[0] in graph.inputs]
    stored = {}
    for number, op in enumerate(first):
        shape, values = graph.shape(op.inputs[1]), graph.constant(op.inputs[1])
        assert values is not None
        half = graph.add_tensor(f"half {number}", shape, "FLOAT16")
        graph.set_constant(half, values)
        stored[half] = graph.add_tensor(f"full {number}", shape)
        read = (op.inputs[0], stored[half], *op.inputs[2:])
        graph.replace_op(op.index, op.kind, read, op.options)
    for half, full in stored.items():
        graph.insert_op(0, "DEQUANTIZE", (half,), full)
    content = pack(graph.model)
    made = take_images(content, contract)
    kinds = [op.kind for op in graph.ops]
    assert [op.kind for op in Graph.parse(made).ops] == ["DEQUANTIZE", *kinds]
    samples = fixed(contract)
    right = answers(content, tensors(contract, samples))
    np.testing.assert_allclose(answers(made, pictures(contract, samples)), right, atol=1e-4)
