"""Equalising changes no answer, and undoes a stretch of channels that somebody planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.flatbuffer import pack
from export.int8 import twin
from export.int8.equalise import equalise, equalise_entries
from export.int8.graph import Graph, Op
from export.int8.plan import plan_of
from tests.export.int8.models import answers, faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae", "mobileagenet"))
def test_answers_stay(model_id: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    faces = faces_of(build.manifest.contract, 4)
    content = float_file(build)
    graph = Graph.parse(content)
    equalise(graph, _values(graph, faces))
    changed = answers(pack(graph.model), faces)
    np.testing.assert_allclose(changed, answers(content, faces), atol=1e-3, rtol=1e-5)


def test_it_undoes_a_stretch(build_of: BuildOf) -> None:
    """A channel that a convolution makes wider and the next one narrower again."""
    build = build_of("ssrnet")
    graph = Graph.parse(float_file(build))
    faces = _values(graph, faces_of(build.manifest.contract, 8))
    first, second = _pair(graph)
    before = _spread(graph, faces, first.output)
    factors = np.ones(graph.shape(first.output)[-1])
    factors[::2] = 500.0
    for tensor, factor in zip((*first.inputs[1:], second.inputs[1]), _shaped(factors), strict=True):
        stored = graph.constant(tensor)
        assert stored is not None
        graph.set_constant(tensor, stored * factor)
    assert _spread(graph, faces, first.output) > 100 * before
    equalise(graph, faces)
    # Half of it on a logarithmic scale: the second layer's weights have one grid as well.
    assert _spread(graph, faces, first.output) < 0.1 * 500 * before


def test_a_map_that_a_tanh_reads_stays_as_it_is(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    graph = Graph.parse(float_file(build))
    convs = [
        op
        for op in graph.ops
        if op.kind == "CONV_2D" and {r.kind for r in graph.readers(op.output)} == {"TANH"}
    ]
    assert convs
    before = [graph.constant(op.inputs[1]) for op in convs]
    equalise(graph, _values(graph, faces_of(build.manifest.contract, 4)))
    for op, stored in zip(convs, before, strict=True):
        assert stored is not None
        np.testing.assert_array_equal(graph.constant(op.inputs[1]), stored)


def test_a_map_that_enters_int8_is_equalised_by_a_product_of_its_own(build_of: BuildOf) -> None:
    """What a tanh writes goes into a convolution: nothing before it takes a factor."""
    build = build_of("ssrnet")
    faces = faces_of(build.manifest.contract, 8)
    graph = Graph.parse(float_file(build))
    values = _values(graph, faces)
    entry = next(
        op
        for op in graph.ops
        if op.kind == "TANH" and [r.kind for r in graph.readers(op.output)] == ["CONV_2D"]
    )
    (reader,) = graph.readers(entry.output)
    plan = plan_of(graph)
    plan = plan.without(graph, frozenset({entry.index}))
    # As it is, its channels are about equal: nothing is added.
    assert equalise_entries(graph, values, plan, [entry.index]) == (plan, ())
    before = len(graph.ops)
    narrow = np.ones(graph.shape(entry.output)[-1], np.float32)
    narrow[0] = 1e-3
    stretched = graph.add_tensor("stretched", graph.shape(entry.output))
    graph.redirect(entry.output, stretched)
    options = graph.schema.MulOptionsT()
    product = (entry.output, graph.add_constant("narrow", narrow))
    graph.insert_op(reader.index, "MUL", product, stretched, options)
    plan = plan.shifted(reader.index)
    content = pack(graph.model)
    moved, (added,) = equalise_entries(graph, values, plan, [reader.index])
    assert len(graph.ops) == before + 2
    assert (added.tensor, added.place) == (stretched, reader.index + 1)
    assert len(moved.body) == len(plan.body)
    assert {graph.ops[i].kind for i in moved.body - plan.body} <= {o.kind for o in graph.ops}
    np.testing.assert_allclose(
        answers(pack(graph.model), faces), answers(content, faces), atol=1e-3, rtol=1e-5
    )
    (equal,) = (op for op in graph.readers(stretched))
    assert _spread(graph, values, equal.output) < 0.2 * _spread(graph, values, stretched)


def _values(graph: Graph, faces: dict[str, np.ndarray]) -> dict[int, torch.Tensor]:
    return {tensor: torch.from_numpy(faces[graph.name(tensor)]) for tensor in graph.inputs}


def _pair(graph: Graph) -> tuple[Op, Op]:
    """A convolution with a ReLU, and the convolution that alone reads it."""
    for op in graph.ops:
        if op.kind == "CONV_2D" and op.options.fusedActivationFunction == 1:
            readers = list(graph.readers(op.output))
            if [each.kind for each in readers] == ["CONV_2D"]:
                return op, readers[0]
    raise AssertionError("no such pair")


def _shaped(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return factors[:, None, None, None], factors, 1 / factors


def _spread(graph: Graph, faces: dict[int, torch.Tensor], tensor: int) -> float:
    """How many times wider the widest channel is than the narrowest that is not dead."""
    values = dict(twin.walk(graph, faces))[tensor]
    widths = values.abs().amax((0, 2, 3))
    return float(widths.max() / widths[widths > 0].min())
