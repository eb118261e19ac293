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
