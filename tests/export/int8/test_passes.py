"""Passes change what a graph does, not what it answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from export.flatbuffer import pack
from export.int8.graph import Graph
from export.int8.passes import average_pool_as_convolution, tanh_after_max_pool
from tests.export.int8.models import answers, faces_of, float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


@pytest.mark.parametrize("change", [average_pool_as_convolution, tanh_after_max_pool])
def test_answers_stay(change: Callable[[Graph], None], build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    faces = faces_of(build.manifest.contract, 8)
    content = float_file(build)
    graph = Graph.parse(content)
    before = [op.kind for op in graph.ops]
    change(graph)
    after = [op.kind for op in graph.ops]
    assert before != after
    changed = answers(pack(graph.model), faces)
    # The same sums in another order.
    np.testing.assert_allclose(changed, answers(content, faces), atol=1e-3, rtol=1e-5)


def test_no_average_pool_is_left(build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    pools = sum(op.kind == "AVERAGE_POOL_2D" for op in graph.ops)
    average_pool_as_convolution(graph)
    kinds = [op.kind for op in graph.ops]
    assert pools > 0
    assert (kinds.count("AVERAGE_POOL_2D"), kinds.count("DEPTHWISE_CONV_2D")) == (0, pools)


def test_each_tanh_follows_its_pool(build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    tanh_after_max_pool(graph)
    order = [op.kind for op in graph.ops if len(graph.shape(op.output)) == 4]
    pairs = list(pairwise(order))
    assert ("MAX_POOL_2D", "TANH") in pairs
    assert ("TANH", "MAX_POOL_2D") not in pairs


def test_a_pool_that_leaves_out_padding_is_no_convolution(build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    pool = next(op for op in graph.ops if op.kind == "AVERAGE_POOL_2D")
    pool.options.padding = 0
    pool.options.filterHeight = 3
    average_pool_as_convolution(graph)
    assert graph.ops[pool.index].kind == "AVERAGE_POOL_2D"
