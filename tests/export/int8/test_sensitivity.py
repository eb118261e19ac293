"""What an op costs in int8 is measured, and an op that a fault makes costly stays float."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from export.int8.graph import Graph, Op
from export.int8.plan import Plan, plan_of
from export.int8.sensitivity import costs, fragile
from tests.export.int8.models import faces_of, float_file
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


@pytest.fixture(scope="module")
def content(build_of: BuildOf) -> bytes:
    return float_file(build_of("ssrnet"))


@pytest.fixture(scope="module")
def faces(build_of: BuildOf) -> Mapping[str, np.ndarray]:
    return faces_of(build_of("ssrnet").manifest.contract, 16)


def _cost(graph: Graph, faces: Mapping[str, np.ndarray], plan: Plan) -> dict[int, float]:
    values = {tensor: torch.from_numpy(faces[graph.name(tensor)]) for tensor in graph.inputs}
    return costs(graph, values, plan)


def test_a_trained_network_has_no_fragile_op(
    content: bytes, faces: Mapping[str, np.ndarray]
) -> None:
    graph = Graph.parse(content)
    cost = _cost(graph, faces, plan_of(graph))
    assert len(cost) > 10
    assert min(cost.values()) >= 0
    assert max(cost.values()) < 0.1


def test_an_op_with_one_enormous_channel_is_fragile(
    content: bytes, faces: Mapping[str, np.ndarray]
) -> None:
    """The channel is alive and the next layer ignores it, so float answers hardly change."""
    graph = Graph.parse(content)
    plan = plan_of(graph)
    before = _cost(graph, faces, plan)
    op = next(o for o in graph.ops if o.kind == "CONV_2D" and _one_conv_reads(graph, o))
    (reader,) = graph.readers(op.output)
    for tensor, factor in ((op.inputs[1], 1e4), (op.inputs[2], 1e4)):
        stored = graph.constant(tensor)
        assert stored is not None
        stored = stored.copy()
        stored[0] *= factor
        graph.set_constant(tensor, stored)
    weights = graph.constant(reader.inputs[1])
    assert weights is not None
    weights = weights.copy()
    weights[..., 0] /= 1e4
    graph.set_constant(reader.inputs[1], weights)
    after = _cost(graph, faces, plan)
    assert after[op.index] > 10 * before[op.index]
    # What reads it reads the same numbers.
    assert after[op.index] > 0.99 * max(after.values())
    chosen = fragile(graph, after)
    assert op.index in chosen
    assert op.index not in plan.without(graph, chosen).body


def test_the_costliest_stay_float_until_what_is_left_is_small(content: bytes) -> None:
    graph = Graph.parse(content)
    light = [op.index for op in graph.ops if op.kind == "TANH"][:3]
    assert fragile(graph, {light[0]: 0.2, light[1]: 0.1, light[2]: 0.001}) == set(light[:2])
    # No single one matters among many equals.
    equals = {op.index: 0.02 for op in graph.ops[:8]}
    assert fragile(graph, equals) == frozenset()
    # Not even alone.
    assert fragile(graph, {light[0]: 0.005}) == frozenset()


def test_beside_a_float_op_less_is_enough(content: bytes) -> None:
    graph = Graph.parse(content)
    first = next(op for op in graph.ops if op.kind == "TANH")
    reader = next(graph.readers(first.output))
    far = [op.index for op in graph.ops if op.kind == "TANH"][-1]
    assert fragile(graph, {first.index: 0.1, reader.index: 0.012}) == {first.index, reader.index}
    assert fragile(graph, {first.index: 0.1, far: 0.012}) == {first.index}


def test_what_multiplies_much_cannot_stay_float(content: bytes) -> None:
    graph = Graph.parse(content)
    convs = [op for op in graph.ops if op.kind == "CONV_2D"]
    heavy = max(convs, key=lambda op: np.prod(graph.shape(op.output)) * _size(graph, op.inputs[1]))
    assert fragile(graph, {heavy.index: 0.5}) == frozenset()


def test_an_op_that_would_be_alone_between_float_ones_is_float_too(content: bytes) -> None:
    graph = Graph.parse(content)
    plan = plan_of(graph)
    op = next(o for o in graph.ops if o.kind == "CONV_2D" and _one_conv_reads(graph, o))
    writer = graph.producer(op.inputs[0])
    (reader,) = graph.readers(op.output)
    assert writer is not None
    left = plan.without(graph, frozenset({writer.index, reader.index}))
    assert op.index not in left.body


def _one_conv_reads(graph: Graph, op: Op) -> bool:
    return [reader.kind for reader in graph.readers(op.output)] == ["CONV_2D"]


def _size(graph: Graph, tensor: int) -> int:
    stored = graph.constant(tensor)
    return 0 if stored is None else stored.size
