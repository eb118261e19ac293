"""Networks in int16: what a file holds, and how near its answers are to those of the float file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from agecompact.contract import Contract
from agecompact.errors import ConversionError, UsageError
from export import int16
from export.int8 import record, twin
from export.int8.calibrate import calibrate
from export.int8.graph import Graph
from export.int8.layers import KINDS
from export.int8.record import Record
from tests.export.int8.models import Arrays, answers, faces_of, float_file
from tests.export.int8.test_qdq import ORIGIN, onnx_answers
from tests.support import BuildOf

pytest.importorskip("ai_edge_quantizer", reason="needs 'tflite'")


class Network:
    """SSR-Net of random weights, its float file and its calibration."""

    def __init__(self, build_of: BuildOf) -> None:
        build = build_of("ssrnet")
        self.contract: Contract = build.manifest.contract
        self.content = float_file(build)
        self.record: Record = record.of(
            self.content, calibrate(self.content, faces_of(self.contract, 33)), ORIGIN
        )

    @property
    def model(self) -> onnx.ModelProto:
        return int16.exported(self.content, self.record, self.contract)


@pytest.fixture(scope="module")
def network(build_of: BuildOf) -> Network:
    return Network(build_of)


@pytest.fixture(scope="module")
def made(network: Network) -> onnx.ModelProto:
    return network.model


def faces_apart(contract: Contract) -> Arrays:
    """Faces that the calibration has not seen."""
    return {name: values[33:] for name, values in faces_of(contract, 45).items()}


def test_its_answers_are_those_of_the_float_file(network: Network, made: onnx.ModelProto) -> None:
    faces = faces_apart(network.contract)
    right = answers(network.content, faces)
    off = np.abs(onnx_answers(made.SerializeToString(), faces) - right).max()
    assert np.ptp(right) > 1
    # 16 bits are 256 steps for each one of int8, which is off by some per cent of the span.
    assert off < 1e-3 * np.ptp(right)


def test_two_integers_of_int8_hold_each_weight(network: Network) -> None:
    graph = Graph.parse(network.content)
    spans = network.record.calibration(network.content).spans
    found = dict(int16.Int16(graph, spans, network.contract.input_names).named_buffers())
    assert {v.dtype for n, v in found.items() if n.startswith("steps")} == {torch.int8, torch.int32}
    for op in graph.ops:
        if op.kind not in KINDS:
            continue
        stored = graph.constant(op.inputs[1])
        assert stored is not None
        right = twin.kernel_of(op, stored)
        parts = [n for n in (f"{op.index}_1", f"{op.index}_3") if f"steps_{n}" in found]
        rows = (-1, *(1 for _ in right.shape[1:]))
        held = sum(found[f"steps_{n}"] * found[f"scales_{n}"].view(rows) for n in parts)
        assert (held - right).abs().max() < right.abs().max() / 30_000


def test_tanh_has_the_range_that_the_npu_assumes(made: onnx.ModelProto) -> None:
    nodes = list(made.graph.node)
    held = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    written = {node.output[0] for node in nodes if node.op_type == "Tanh"}
    grids = [
        (float(held[node.input[1]]), int(held[node.input[2]]))
        for node in nodes
        if node.op_type == "QuantizeLinear" and node.input[0] in written
    ]
    assert len(grids) == len(written) > 0
    assert set(grids) == {(2.0**-15, 2**15)}


def test_its_opset_is_the_first_with_integers_of_16_bits(made: onnx.ModelProto) -> None:
    onnx.checker.check_model(made, full_check=True)
    assert {e.version for e in made.opset_import if e.domain in ("", "ai.onnx")} == {int16.OPSET}


def test_a_calibration_of_an_older_version_is_refused(network: Network) -> None:
    older = replace(network.record, header=replace(network.record.header, spans={}))
    with pytest.raises(UsageError, match=r"did not measure activations\nfix: calibrate again"):
        int16.exported(network.content, older, network.contract)


def test_an_op_that_is_unknown_is_an_error(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin, "_OPS", {k: v for k, v in twin._OPS.items() if k != "TANH"})
    with pytest.raises(ConversionError, match=r"cannot be written in int16\nwhy: TANH is unknown"):
        _ = network.model


def test_activations_behind_an_op_that_is_unknown_have_no_range(network: Network) -> None:
    """Calibration measures as far as it knows the ops."""
    graph, header = Graph.parse(network.content), network.record.header
    assert set(header.spans) == {str(t) for t in (*graph.inputs, *(o.output for o in graph.ops))}
    last = str(graph.ops[-1].output)
    few = {tensor: ends for tensor, ends in header.spans.items() if tensor != last}
    cut = replace(network.record, header=replace(header, spans=few))
    with pytest.raises(ConversionError, match=f"{graph.ops[-1].kind} is unknown here"):
        int16.exported(network.content, cut, network.contract)


def test_the_spans_hold_what_faces_cause(network: Network) -> None:
    graph = Graph.parse(network.content)
    spans = network.record.calibration(network.content).spans
    faces = twin.bound(graph, faces_of(network.contract, 33))
    for tensor, values in twin.walk(graph, faces):
        low, high = spans[tensor]
        assert low <= min(0.0, float(values.min()))
        assert high >= max(0.0, float(values.max()))
