"""Passes by name: each can be left out, and only the one that is named."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build
from export import pipeline, targets
from export.int8.graph import Graph
from export.passes import registry
from tests.export.int8.models import float_file
from tests.export.passes.test_pooling import undone
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs 'tflite'")


def _made(build: Build, precision: str, *without: str) -> list[str]:
    graph = undone(float_file(build))
    registry.run(graph, build.manifest.contract, precision, without)
    return [op.kind for op in graph.ops]


def test_all_passes_give_the_file(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    expected = [op.kind for op in Graph.parse(float_file(build)).ops]
    assert sorted(_made(build, "float32")) == sorted(expected)


def test_a_pass_is_left_out_and_the_others_run(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    pools = _made(build, "float32", "pool as convolution")
    assert "AVERAGE_POOL_2D" in pools
    assert ("TANH", "MAX_POOL_2D") not in pairwise(pools)
    tanhs = _made(build, "float32", "tanh after pool")
    assert "AVERAGE_POOL_2D" not in tanhs
    assert ("TANH", "MAX_POOL_2D") in pairwise(tanhs)


def test_inputs_are_centred_for_half_precision_alone(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    assert _made(build, "float16-arithmetic")[0] == "SUB"
    assert _made(build, "float16-arithmetic", "centred inputs")[0] != "SUB"
    assert _made(build, "float32")[0] != "SUB"


@pytest.mark.slow
def test_an_export_leaves_out_what_its_request_names(build_of: BuildOf, tmp_path: Path) -> None:
    build = build_of("ssrnet")
    wanted = targets.select(["tflite"], ["fp32"])
    without = ("pool as convolution",)
    request = pipeline.Request(build.weights, wanted, tmp_path, without=without)
    made = pipeline.export(request).manifest
    content = (tmp_path / "ssrnet" / "ssrnet_float32.tflite").read_bytes()
    kinds = [op.kind for op in Graph.parse(content).ops]
    assert "AVERAGE_POOL_2D" in kinds
    assert made.weights_sha256 == build.manifest.weights_sha256
