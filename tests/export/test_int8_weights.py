"""Files with int8 weights that need no faces: what is int8 in them, their bytes and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from agecompact.runtimes.process import RuntimeProcess
from export.int8.graph import Graph
from export.int8_weights import dynamic_range, weights_only
from tests.export.int8.models import answers, faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")

_WAYS: Mapping[str, Callable[[bytes], bytes]] = {
    "dynamic": dynamic_range,
    "weights": weights_only,
}
_CASES = by_model(
    *(f"{model}.{way}" for model in ("ssrnet", "c3ae-plain", "mobileagenet") for way in _WAYS)
)


@pytest.fixture(scope="module", params=_CASES)
def made(request: pytest.FixtureRequest, build_of: BuildOf) -> tuple[str, str, bytes]:
    model_id, way = request.param.split(".")
    return model_id, way, _WAYS[way](float_file(build_of(model_id)))


def test_the_first_layers_stay_float_and_the_weights_are_int8(
    made: tuple[str, str, bytes],
) -> None:
    _, way, content = made
    graph = Graph.parse(content)
    if way == "weights":
        stored = [graph.constant(o.inputs[0]) for o in graph.ops if o.kind == "DEQUANTIZE"]
    else:
        stored = [graph.constant(o.inputs[1]) for o in graph.ops if o.kind == "CONV_2D"]
        stored = [each for each in stored if each is not None and each.dtype == np.int8]
    assert all(each is not None and each.dtype == np.int8 for each in stored)
    assert len(stored) > 3
    stems = [graph.constant(o.inputs[1]) for o in graph.ops if o.kind == "CONV_2D"]
    stems = [each for each in stems if each is not None and each.shape[-1] == 3]
    assert stems
    assert all(each is not None and each.dtype == np.float32 for each in stems)


def test_dynamic_files_leave_depthwise_convolutions_in_float(made: tuple[str, str, bytes]) -> None:
    _, way, content = made
    if way == "dynamic":
        graph = Graph.parse(content)
        depthwise = [graph.constant(o.inputs[1]) for o in graph.ops if "DEPTHWISE" in o.kind]
        assert all(each is not None and each.dtype == np.float32 for each in depthwise)


def test_it_is_a_third_as_large_and_runs_in_one_partition(
    made: tuple[str, str, bytes], build_of: BuildOf, tmp_path: Path
) -> None:
    model_id, _, content = made
    assert len(content) < 0.4 * len(float_file(build_of(model_id)))
    path = tmp_path / "int8.tflite"
    path.write_bytes(content)
    with RuntimeProcess(path) as process:
        placement = process.open().placement
    assert placement is not None
    assert (placement.partitions, dict(placement.fallback_ops)) == (1, {})


@pytest.mark.parametrize("way", _WAYS)
def test_its_error_is_a_small_part_of_the_spread(way: str, build_of: BuildOf) -> None:
    build = build_of("c3ae-plain")
    faces = faces_of(build.manifest.contract, 24)
    right = answers(float_file(build), faces)
    error = np.abs(answers(_WAYS[way](float_file(build)), faces) - right)
    assert 0 < error.mean() < 0.1 * right.std()
