"""Calibrations with maps in float32: which ops leave int8, and what the files then answer."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import agecompact
from agecompact.artifacts.manifest import CalibrationSet
from agecompact.data.face import spread
from agecompact.errors import UsageError
from agecompact.faces.files import images_in
from agecompact.models import registry
from agecompact.runtimes.process import RuntimeProcess
from agecompact.weights import checkpoints
from export import pipeline
from export.flatbuffer import pack
from export.int8 import record, twin
from export.int8.calibrate import calibrate
from export.int8.calibration import Calibration, applied
from export.int8.faces import read_chips
from export.int8.fallback import SHARES, chosen, with_float
from export.int8.graph import Graph
from export.int8.layers import KINDS, multiplications
from export.int8.plan import Plan
from export.int8.qdq import ONNX, Quantised
from export.int8.record import Origin, Record
from export.int8.writer import to_int8
from tests.export.int8.models import Arrays, answers, batch_of_chips, faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")

REAL_DATA = os.environ.get("AGECOMPACT_DATA")
_WEIGHTS = Path(agecompact.__file__).parent / "weights"


class Network:
    """A network of random weights, calibrated."""

    def __init__(self, build_of: BuildOf, model_id: str) -> None:
        build = build_of(model_id)
        self.contract = build.manifest.contract
        self.content = float_file(build)
        self.faces: Arrays = faces_of(self.contract, 40)
        made = calibrate(self.content, self.faces)
        origin = Origin("a" * 64, CalibrationSet(40, "b" * 64))
        self.record: Record = record.of(self.content, made, origin)
        self.calibration: Calibration = self.record.calibration(self.content)
        self.graph = applied(self.content, self.calibration)

    def file(self, found: Record) -> bytes:
        return to_int8(self.content, found.calibration(self.content))


@pytest.fixture(scope="module", params=by_model("ssrnet", "c3ae"))
def network(request: pytest.FixtureRequest, build_of: BuildOf) -> Network:
    return Network(build_of, request.param)


@pytest.mark.parametrize("share", SHARES)
def test_what_leaves_int8_is_within_the_share(network: Network, share: float) -> None:
    graph, body = network.graph, network.calibration.plan.body
    left = chosen(graph, network.calibration, share)
    assert left
    assert left < body
    work = {op.index: multiplications(graph, op) for op in graph.ops}
    assert sum(work[i] for i in left) <= share * sum(work.values())


def test_the_file_runs_in_one_partition(network: Network, tmp_path: Path) -> None:
    for share in SHARES:
        path = tmp_path / f"{share}.tflite"
        path.write_bytes(network.file(with_float(network.content, network.record, share)))
        with RuntimeProcess(path) as process:
            placement = process.open().placement
        assert placement is not None
        assert (placement.partitions, placement.fallback_ops) == (1, {})
        assert np.isfinite(answers(path.read_bytes(), network.faces)).all()


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA, reason="AGECOMPACT_DATA does not name the UTKFace folder")
@pytest.mark.parametrize("model_id", ["ssrnet", "c3ae-plain"])
def test_the_released_networks_come_nearer_to_their_float_files(model_id: str) -> None:
    """A random network's errors follow no rule: this needs a trained one, and faces."""
    content = pipeline.float_tflite(checkpoints.released_path(model_id))
    known = record.read(_WEIGHTS / f"{model_id}{record.SUFFIX}")
    calibration = known.calibration(content)
    folder = Path(str(REAL_DATA))
    paths = spread(images_in(folder, "--calibration"), 200)
    faces = batch_of_chips(registry.get(model_id).contract, read_chips(paths, folder))
    right = answers(content, faces)

    def off(found: Calibration) -> float:
        # Not the root mean square, nor a percentile: of 200 faces, few decide those, and other
        # faces give another order.
        return float(np.abs(answers(to_int8(content, found), faces) - right).mean())

    plain = off(calibration)
    partly = [with_float(content, known, share).calibration(content) for share in SHARES[1:]]
    assert off(partly[0]) < 0.85 * plain
    assert off(partly[1]) < 1.01 * off(partly[0])
    # The costliest op alone buys nothing: its neighbours round what it reads and writes.
    index = max(calibration.costs, key=lambda index: calibration.costs[index])
    layer = {index} if applied(content, calibration).ops[index].kind in KINDS else set()
    plan = Plan(calibration.plan.body - {index}, calibration.plan.stored | layer)
    assert off(replace(calibration, plan=plan)) > 0.95 * plain


def test_int8_onnx_answers_as_int8_tflite_does(network: Network) -> None:
    import torch

    derived = with_float(network.content, network.record, SHARES[1])
    calibration = derived.calibration(network.content)
    made = Quantised.of(network.content, calibration, network.contract.input_names, ONNX)
    few = {name: values[:6] for name, values in network.faces.items()}
    found = []
    with torch.no_grad():
        for i in range(6):
            faces = [torch.from_numpy(few[n][i : i + 1]) for n in network.contract.input_names]
            found.append(float(made(*faces)[0]))
    # Where a sum is half way between two steps, torch and LiteRT round to different ones, and on
    # other processors elsewhere. On average that costs less than int8 does.
    right = answers(network.content, few)
    off = np.abs(answers(network.file(network.record), few) - right).mean()
    apart = np.abs(found - answers(network.file(derived), few))
    assert apart.mean() < max(off, 1e-3) / 2


def test_a_derived_calibration_is_a_calibration_file(network: Network, tmp_path: Path) -> None:
    derived = with_float(network.content, network.record, SHARES[1])
    record.write(tmp_path / "a.int8.safetensors", derived)
    again = record.read(tmp_path / "a.int8.safetensors")
    assert network.file(again) == network.file(derived)
    assert network.file(again) != network.file(network.record)
    found = again.calibration(network.content)
    graph, kept = network.graph, network.calibration
    assert "compute in float32" in found.note
    # Weights are those of int8, and int8 ops have every range that they need.
    for tensor, values in kept.constants.items():
        np.testing.assert_array_equal(found.constants[tensor], values)
    needed = {
        tensor
        for op in graph.ops
        if op.index in found.plan.body
        for tensor in (*op.inputs, op.output)
        if tensor >= 0 and graph.constant(tensor) is None
    }
    assert found.ranges == {tensor: kept.ranges[tensor] for tensor in needed}
    assert not found.plan.body & found.plan.stored
    moved = kept.plan.body - found.plan.body
    assert found.plan.stored - kept.plan.stored <= {
        op.index for op in graph.ops if op.kind in KINDS and op.index in moved
    }


def test_the_ops_around_the_costliest_map_leave_together(network: Network) -> None:
    graph, plan = network.graph, network.calibration.plan
    # A map of an inner layer that one small layer reads.
    writer, reader = next(
        (op, readers[0])
        for op in reversed(graph.ops)
        if op.index in plan.body and op.kind == "CONV_2D"
        if len(readers := list(graph.readers(op.output))) == 1
        if readers[0].kind in KINDS and readers[0].index in plan.body
    )
    # As if only this map were rounded: the ops that touch it cost, and no other does.
    costs = dict.fromkeys(network.calibration.costs, 0.0) | {writer.index: 0.1, reader.index: 0.1}
    left = chosen(graph, replace(network.calibration, costs=costs), 1.0)
    assert {writer.index, reader.index} <= left
    assert len(left) < len(plan.body)


def test_without_costs_or_a_share_nothing_changes(network: Network) -> None:
    unknown = record.of(
        network.content, replace(network.calibration, costs={}), network.record.origin
    )
    assert with_float(network.content, unknown, SHARES[-1]) is unknown
    silent = replace(network.calibration, costs=dict.fromkeys(network.calibration.costs, 0.0))
    assert not chosen(network.graph, silent, SHARES[-1])
    busy = [op.index for op in network.graph.ops if op.kind in KINDS]
    assert not chosen(network.graph, network.calibration, 0.0) & set(busy)


def test_the_calibration_of_another_graph_is_refused(network: Network) -> None:
    graph = Graph.parse(network.content)
    next(op for op in graph.ops if op.kind == "CONV_2D").options.strideW += 1
    with pytest.raises(UsageError, match="is the calibration of another graph"):
        with_float(pack(graph.model), network.record, SHARES[0])


def test_the_twin_computes_what_the_file_does(network: Network) -> None:
    """The derived graph stays a float graph that the twin can run."""
    derived = with_float(network.content, network.record, SHARES[1]).calibration(network.content)
    graph = applied(network.content, derived)
    faces = twin.bound(graph, network.faces)
    assert set(graph.outputs) <= dict(twin.walk(graph, faces)).keys()
