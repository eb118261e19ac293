"""Faults of files that take pictures, as people make them by hand: each must fail the gate."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.check import check_builds
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from tests.marks import by_model
from tests.parity_tests.editing import (
    Edit,
    edited_build,
    in_tflite,
    in_tflite_metadata,
    reversed_channels,
    tflite_ops,
    tflite_weights,
    unchanged,
)
from tests.parity_tests.faults.tflite_edits import constant
from tests.pictures import as_pictures
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


def picture(model: Any, number: int = 0) -> Any:
    graph = model.subgraphs[0]
    return graph.tensors[graph.inputs[number]]


def means(scale: float, zero_point: int, of: int = 0) -> Edit:
    """Another meaning of a level, in one of the pictures."""

    def change(model: Any) -> None:
        meaning = picture(model, of).quantization
        meaning.scale = np.array([scale], np.float32)
        meaning.zeroPoint = np.array([zero_point], np.int64)

    return in_tflite(change)


def colours_kept(model: Any) -> None:
    """All filters that read the picture are of BGR, as the network was trained with."""
    (dequantize,) = tflite_ops(model, "DEQUANTIZE")
    values = int(dequantize.outputs[0])
    for number, op in enumerate(tflite_ops(model, "CONV_2D")):
        if int(op.inputs[0]) == values:
            tflite_weights(number, reversed_channels(3))(model)


def colours_kept_in_one(model: Any) -> None:
    tflite_weights(0, reversed_channels(3))(model)


def channels_first(model: Any) -> None:
    """A TRANSPOSE takes NCHW."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    inner = picture(model)
    outer, axes, buffer = schema.TensorT(), schema.TensorT(), schema.BufferT()
    outer.name, inner.name = inner.name, b"nhwc"
    outer.type, outer.buffer, outer.quantization = inner.type, 0, inner.quantization
    outer.shape = np.array([1, 3, 64, 64], np.int32)
    buffer.data = np.array([0, 2, 3, 1], np.int32).view(np.uint8)
    axes.name, axes.type, axes.shape = b"axes", schema.TensorType.INT32, np.array([4], np.int32)
    axes.buffer = len(model.buffers)
    model.buffers.append(buffer)
    code, op = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE
    code.version = 1
    op.opcodeIndex = len(model.operatorCodes)
    model.operatorCodes.append(code)
    place = len(graph.tensors)
    op.inputs, op.outputs = np.array([place, place + 1]), np.array([graph.inputs[0]])
    op.builtinOptionsType = schema.BuiltinOptions.TransposeOptions
    op.builtinOptions = schema.TransposeOptionsT()
    graph.tensors += [outer, axes]
    graph.operators.insert(0, op)
    graph.inputs = np.array([place], np.int32)
    model.signatureDefs[0].inputs[0].tensorIndex = place


def as_float(model: Any) -> None:
    """The file of tensors with the contract of pictures."""
    graph = model.subgraphs[0]
    (dequantize,) = tflite_ops(model, "DEQUANTIZE")
    graph.operators.remove(dequantize)
    values = int(dequantize.outputs[0])
    graph.tensors[values].name, picture(model).name = picture(model).name, b"unread"
    graph.inputs = np.array([values], np.int32)
    model.signatureDefs[0].inputs[0].tensorIndex = values


def to_ones(values: np.ndarray) -> None:
    values[:] = 1


def to_zeros(values: np.ndarray) -> None:
    values[:] = 0


def says(old: str, new: str) -> Edit:
    return in_tflite_metadata(lambda text: text.replace(old, new))


ORDER = "RGB/BGR order"
RANGE = "value range / mean / std"
SHIFTED = means(1.0, 1, of=1)

# By model and name: the fault, planted in a file that takes pictures, the kind of failure, and the
# cause that localisation states; none for failures that are not about numbers.
FAULTS: dict[tuple[str, str], tuple[Edit, str, str]] = {
    ("ssrnet", "none"): (unchanged, "", ""),
    ("ssrnet", "colours"): (in_tflite(colours_kept), "mismatch", ORDER),
    ("ssrnet", "colours-in-one-stream"): (in_tflite(colours_kept_in_one), "mismatch", ORDER),
    ("ssrnet", "colours-in-contract"): (
        says('"color_order":"RGB"', '"color_order":"BGR"'),
        "mismatch",
        ORDER,
    ),
    ("ssrnet", "scale"): (means(1 / 255, 0), "degenerate", RANGE),
    ("ssrnet", "zero-point"): (means(1.0, 128), "mismatch", RANGE),
    ("ssrnet", "near-zero-point"): (means(1.0, 1), "mismatch", RANGE),
    ("ssrnet", "layout"): (in_tflite(channels_first), "shapes", ""),
    ("ssrnet", "layout-in-contract"): (
        says('"layout":"NHWC"', '"layout":"NCHW"'),
        "shapes",
        "",
    ),
    ("ssrnet", "dtype"): (in_tflite(as_float), "dtypes", ""),
    ("ssrnet", "dtype-in-contract"): (
        says('"dtype":"uint8"', '"dtype":"int8" '),
        "metadata",
        "",
    ),
    ("c3ae", "none"): (unchanged, "", ""),
    ("c3ae", "one-crop"): (SHIFTED, "mismatch", RANGE),
    ("mobileagenet", "none"): (unchanged, "", ""),
    ("mobileagenet", "no-scale"): (in_tflite(constant("MUL", 0, 1, to_ones)), "degenerate", RANGE),
    ("mobileagenet", "no-shift"): (in_tflite(constant("ADD", 0, 1, to_zeros)), "mismatch", RANGE),
}


def planted(fault: Edit) -> Edit:
    def edit(path: Path) -> None:
        as_pictures(path)
        before = path.read_bytes()
        fault(path)
        assert fault is unchanged or path.read_bytes() != before

    return edit


@pytest.fixture(scope="module")
def results_of(
    build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Result]]:
    @cache
    def check(model_id: str) -> dict[str, Result]:
        edits = {
            f"{name}.tflite": (f"{model_id}_float32.tflite", planted(edit))
            for (model, name), (edit, *_) in FAULTS.items()
            if model == model_id
        }
        folder = tmp_path_factory.mktemp(model_id)
        faulty = edited_build(build_of(model_id), folder, edits, rehash=True)
        found = check_builds([faulty], CheckSettings(budget=None))
        return {result.artifact: result for result in found}

    return check


@pytest.mark.parametrize(("model_id", "name"), by_model(*FAULTS))
def test_each_fault_is_found(
    model_id: str, name: str, results_of: Callable[[str], dict[str, Result]]
) -> None:
    result = results_of(model_id)[f"{name}.tflite"]
    _, kind, cause = FAULTS[model_id, name]
    assert (result.kind or "") == kind, result.reason
    located = result.localisation
    assert ((located["originates_at"] or {}).get("suspicion") if located else "") == cause
