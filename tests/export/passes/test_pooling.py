"""Pools in other forms: the same answers as those of the graph that onnx2tf writes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from export.flatbuffer import pack
from export.int8.graph import Graph, Op
from export.passes.pooling import average_pool_as_convolution, tanh_after_max_pool
from tests.export.int8.models import answers, faces_of, float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")

_SAME, _VALID = 0, 1


def _options(graph: Graph, op: Op, side: int) -> object:
    made = graph.schema.Pool2DOptionsT()
    made.padding, made.filterHeight, made.filterWidth = _VALID, side, side
    made.strideH, made.strideW = op.options.strideH, op.options.strideW
    return made


def undone(content: bytes) -> Graph:
    """The graph with average pools, and with the maximum of tanhs, as onnx2tf writes it."""
    graph = Graph.parse(content)
    for op in graph.ops:
        if op.kind == "DEPTHWISE_CONV_2D":
            side = graph.shape(op.inputs[1])[1]
            graph.replace_op(op.index, "AVERAGE_POOL_2D", op.inputs[:1], _options(graph, op, side))
    for op in graph.ops:
        reader = next((r for r in graph.readers(op.output)), None)
        if op.kind == "MAX_POOL_2D" and reader is not None and reader.kind == "TANH":
            large = np.array(graph.shape(op.inputs[0]), np.int32)
            graph.exchange(op.index, reader.index)
            graph.model.subgraphs[0].tensors[op.output].shape = large
    return graph


def _kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def test_the_passes_give_the_file_and_answers_stay(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    content = float_file(build)
    graph = undone(content)
    before = _kinds(graph)
    assert ("TANH", "MAX_POOL_2D") in pairwise(before)
    assert "DEPTHWISE_CONV_2D" not in before
    faces = faces_of(build.manifest.contract, 8)
    right = answers(pack(graph.model), faces)
    tanh_after_max_pool(graph)
    average_pool_as_convolution(graph)
    assert sorted(_kinds(graph)) == sorted(_kinds(Graph.parse(content)))
    # The same sums in another order.
    for made in (content, pack(graph.model)):
        np.testing.assert_allclose(answers(made, faces), right, atol=1e-3, rtol=1e-5)


def test_no_average_pool_is_left(build_of: BuildOf) -> None:
    kinds = _kinds(Graph.parse(float_file(build_of("ssrnet"))))
    assert kinds.count("DEPTHWISE_CONV_2D") > 3
    assert "AVERAGE_POOL_2D" not in kinds


def test_each_tanh_follows_its_pool(build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    order = [op.kind for op in graph.ops if len(graph.shape(op.output)) == 4]
    pairs = list(pairwise(order))
    assert ("MAX_POOL_2D", "TANH") in pairs
    assert ("TANH", "MAX_POOL_2D") not in pairs


def test_a_pool_that_leaves_out_padding_is_no_convolution(build_of: BuildOf) -> None:
    graph = undone(float_file(build_of("ssrnet")))
    pool = next(op for op in graph.ops if op.kind == "AVERAGE_POOL_2D")
    pool.options.padding = _SAME
    pool.options.filterHeight = 3
    average_pool_as_convolution(graph)
    assert graph.ops[pool.index].kind == "AVERAGE_POOL_2D"
