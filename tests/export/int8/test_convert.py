"""int8 files: their ops, their bytes, and their answers beside those of the plain quantiser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from agecompact.errors import ConversionError
from agecompact.runtimes.litert import SIGNATURE
from agecompact.runtimes.process import RuntimeProcess
from export.flatbuffer import pack
from export.int8 import twin
from export.int8.calibrate import calibrate
from export.int8.graph import Graph
from export.int8.plan import plan_of
from export.int8.writer import settings, to_int8
from parity_tests.inputs import fixed
from tests.export.int8.models import answers, batch, faces_of, float_file, int8_of
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")


@pytest.fixture(scope="module", params=by_model("ssrnet", "c3ae", "c3ae-plain"))
def made(request: pytest.FixtureRequest, build_of: BuildOf) -> tuple[str, bytes]:
    build = build_of(request.param)
    content = int8_of(float_file(build), faces_of(build.manifest.contract, 48))
    return request.param, content


def test_its_body_is_int8_and_its_ends_are_float(made: tuple[str, bytes]) -> None:
    graph = Graph.parse(made[1])
    stored = [graph.constant(op.inputs[1]) for op in graph.ops if op.kind == "CONV_2D"]
    # Views of one face differ little, so that a layer counts as fragile early.
    assert sum(each is not None and each.dtype == np.int8 for each in stored) > 0.8 * len(stored)
    computing = [op for op in graph.ops if graph.constant(op.inputs[0]) is None]
    kinds = [op.kind for op in computing]
    assert kinds[: len(graph.inputs)] == ["QUANTIZE"] * len(graph.inputs)
    assert "AVERAGE_POOL_2D" not in kinds


def test_it_is_less_than_half_as_large(made: tuple[str, bytes], build_of: BuildOf) -> None:
    assert len(made[1]) < 0.5 * len(float_file(build_of(made[0])))


def test_it_runs_in_one_partition(made: tuple[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(made[1])
    with RuntimeProcess(path) as process:
        placement = process.open().placement
    assert placement is not None
    assert (placement.partitions, dict(placement.fallback_ops)) == (1, {})


def test_it_is_nearer_to_the_float_file_than_the_plain_quantiser(
    made: tuple[str, bytes], build_of: BuildOf
) -> None:
    model_id, content = made
    build = build_of(model_id)
    contract = build.manifest.contract
    plain = _plain(float_file(build), faces_of(contract, 48))
    # Views that nothing was calibrated with.
    others = batch(contract, [s for s in fixed(contract) if s.kind == "face"])
    right = answers(float_file(build), others)
    ours, theirs = (np.abs(answers(c, others) - right).mean() for c in (content, plain))
    assert ours < theirs


def _plain(content: bytes, faces: Mapping[str, np.ndarray]) -> bytes:
    """ai-edge-quantizer's static int8 by least and greatest values, of the same ops."""
    from ai_edge_quantizer import qtyping, quantizer

    graph = Graph.parse(content)
    last = max(plan_of(graph).body)
    maker = quantizer.Quantizer(bytearray(content))
    supported = {each.value for each in qtyping.TFLOperationName}
    for op in graph.ops[: last + 1]:
        if op.kind in supported and len(graph.shape(op.output)) == 4:
            maker.update_quantization_recipe(
                f"^{re.escape(graph.name(op.output))};$",
                qtyping.TFLOperationName(op.kind),
                settings(),
            )
    count = len(next(iter(faces.values())))
    calls = [
        {n: np.ascontiguousarray(v[i : i + 1].transpose(0, 2, 3, 1)) for n, v in faces.items()}
        for i in range(count)
    ]
    return bytes(maker.quantize(maker.calibrate({SIGNATURE: calls})).quantized_model)


def test_a_layer_that_is_dead_on_all_faces_does_not_abort_litert(build_of: BuildOf) -> None:
    """LiteRT ends with SIGABRT on steps of 1e-12."""
    build = build_of("ssrnet")
    graph = Graph.parse(float_file(build))
    conv = next(
        op for op in graph.ops if op.kind == "CONV_2D" and op.options.fusedActivationFunction
    )
    stored = graph.constant(conv.inputs[2])
    assert stored is not None
    graph.set_constant(conv.inputs[2], np.full_like(stored, -1e6))
    faces = faces_of(build.manifest.contract, 33)
    content = int8_of(pack(graph.model), faces)
    few = {name: values[:2] for name, values in faces.items()}
    assert np.isfinite(answers(content, few)).all()


def test_an_unknown_op_and_what_follows_stay_float_and_that_is_told(
    build_of: BuildOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin, "_OPS", {k: v for k, v in twin._OPS.items() if k != "TANH"})
    build = build_of("ssrnet")
    faces = faces_of(build.manifest.contract, 33)
    calibration = calibrate(float_file(build), faces)
    content = to_int8(float_file(build), calibration)
    assert calibration.note.startswith("3 of ")
    assert calibration.note.endswith("; TANH is unknown here, so it and what follows stay float")
    few = {name: values[:4] for name, values in faces.items()}
    right = answers(float_file(build), few)
    np.testing.assert_allclose(answers(content, few), right, atol=3.0)


def test_a_network_without_a_known_layer_is_refused(
    build_of: BuildOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin, "_OPS", {})
    build = build_of("ssrnet")
    with pytest.raises(
        ConversionError, match=r"no layer .* can be int8\nwhy: .* CONV_2D is unknown"
    ):
        calibrate(float_file(build), faces_of(build.manifest.contract, 2))
