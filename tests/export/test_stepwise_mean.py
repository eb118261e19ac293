"""Means in TFLite graphs are split into columns and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support import BuildOf

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


def means(model: Any) -> list[tuple[list[int], list[int], list[int]]]:
    """Input shape, axes and output shape of each mean."""
    graph = model.subgraphs[0]
    found = []
    for op in graph.operators:
        if model.operatorCodes[op.opcodeIndex].builtinCode == schema.BuiltinOperator.MEAN:
            axes = np.array(model.buffers[graph.tensors[op.inputs[1]].buffer].data, np.uint8)
            shapes = (graph.tensors[i].shape.tolist() for i in (op.inputs[0], op.outputs[0]))
            before, after = shapes
            found.append((before, axes.view("<i4").tolist(), after))
    return found


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_c3aes_wide_means_are_split_and_its_narrow_one_is_not(
    precision: str, build_of: BuildOf
) -> None:
    path = build_of("c3ae").folder / f"c3ae_{precision}.tflite"
    found = means(schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0))
    assert found == [
        ([3, 31, 31, 32], [2], [3, 31, 1, 32]),
        ([3, 31, 1, 32], [1], [3, 1, 1, 32]),
        ([3, 14, 14, 32], [2], [3, 14, 1, 32]),
        ([3, 14, 1, 32], [1], [3, 1, 1, 32]),
        ([3, 6, 6, 32], [1, 2], [3, 1, 1, 32]),
    ]


def test_images_without_contrast_have_an_error_below_1e4(build_of: BuildOf) -> None:
    from agecompact.runtimes import litert, pytorch
    from agecompact.runtimes.registry import read_metadata
    from parity_tests import inputs

    build = build_of("c3ae")
    path = build.folder / "c3ae_float32.tflite"
    mine, theirs = build.manifest.contract, read_metadata(path).contract
    reference = pytorch.FLOAT32.open_session(str(build.weights), 1)
    candidate = litert.BACKEND.open_session(str(path), 1)
    for sample in inputs.standard(mine):
        expected = reference.infer(mine.tensors(sample.crops))["age"]
        output = candidate.infer(theirs.tensors(sample.crops))["age"]
        assert abs(float((output - expected).item())) <= 1e-4, sample.name
