"""Inputs whose middle level is taken off: the answers stay, and sums before biases become small."""

from __future__ import annotations

import numpy as np
import pytest

from agecompact.contract import Contract
from export.flatbuffer import pack
from export.int8.graph import Graph
from export.passes.centring import centre_inputs
from tests.export.int8.models import answers, faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")

_SAME = 0
_LEVELS = np.tile(np.arange(256, dtype=np.float32)[:, np.newaxis], 3)


@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae", "c3ae-plain"))
def test_the_answers_stay(model_id: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    contract: Contract = build.manifest.contract
    graph = Graph.parse(float_file(build))
    first = [op for op in graph.ops if op.kind == "CONV_2D" and graph.shape(op.inputs[1])[-1] == 3]
    before = [graph.constant(op.inputs[2]) for op in first]
    centre_inputs(graph, contract.table()[0])
    assert [op.kind for op in graph.ops[: len(graph.inputs)]] == ["SUB"] * len(graph.inputs)
    after = [graph.constant(op.inputs[2]) for op in first]
    assert all(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    faces = faces_of(contract, 6)
    right = answers(float_file(build), faces)
    np.testing.assert_allclose(answers(pack(graph.model), faces), right, atol=2e-4)


def test_a_bias_that_is_left_alone_changes_the_answers(build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    graph = Graph.parse(float_file(build))
    first = graph.ops[0]
    bias = graph.constant(first.inputs[2])
    assert bias is not None
    centre_inputs(graph, _LEVELS)
    graph.set_constant(first.inputs[2], bias)
    faces = faces_of(build.manifest.contract, 3)
    off = np.abs(answers(pack(graph.model), faces) - answers(float_file(build), faces))
    assert off.max() > 0.1


@pytest.mark.parametrize("change", ["padded", "central", "other reader"])
def test_what_cannot_be_centred_exactly_is_left_alone(change: str, build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("c3ae-plain")))
    levels = _LEVELS
    match change:
        case "padded":
            # Zeros around the picture would be pixels of the middle level.
            graph.ops[0].options.padding = _SAME
        case "central":
            levels = _LEVELS / 127.5 - 1
        case "other reader":
            graph.replace_op(1, "AVERAGE_POOL_2D", graph.inputs, graph.ops[1].options)
    kinds = [op.kind for op in graph.ops]
    centre_inputs(graph, levels)
    assert [op.kind for op in graph.ops] == kinds
