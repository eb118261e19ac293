"""Faults planted in real artefacts, each told by the op where it is born and by its cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from agecompact.contract import Contract
from agecompact.formats import RUNTIMES
from agecompact.runtimes.base import Trace
from agecompact.runtimes.registry import load, read_metadata
from agecompact.weights import checkpoints
from export import to_coreml, to_onnx
from export.job import Job
from parity_tests import inputs
from parity_tests.localisation.graph import with_inputs
from parity_tests.localisation.localise import Localisation, localise
from parity_tests.localisation.rounding import Evidence, evidence
from tests.parity_tests.localisation.graph_faults import (
    EDITED,
    EXPORTED,
    Fault,
    cast_before_folding,
)
from tests.parity_tests.localisation.stored_faults import REPLACED, STORED
from tests.support import BuildOf, random_network

SAMPLES = ("face, wide", "noise 3")
NAMES = {"onnx": "onnxruntime", "tflite": "litert", "mlpackage": "mil-float32"}


def given(contract: Contract) -> list[dict[str, Any]]:
    chosen = [s for s in inputs.standard(contract) if s.name in SAMPLES]
    return [contract.tensors(sample.crops) for sample in chosen]


def traced(path: Path, contract: Contract | None = None) -> list[Trace]:
    """An artefact's traces, fed by its own contract or by another."""
    session = load(RUNTIMES[NAMES[path.suffix[1:]]]).open_session(str(path), 1)
    fed = given(contract or read_metadata(path).contract)
    return [with_inputs(session.trace(sample), sample) for sample in fed]


EvidenceOf = Callable[[Path], Evidence]


@pytest.fixture(scope="module")
def evidence_of() -> EvidenceOf:
    known: dict[Path, Evidence] = {}

    def find(weights: Path) -> Evidence:
        if weights not in known:
            fed = given(checkpoints.read(weights).contract)
            known[weights] = evidence(weights, fed, "float32")
        return known[weights]

    return find


def validated(traces: Sequence[Trace], seen: Evidence) -> Localisation:
    return localise(
        seen.traces, traces, precision="float32", rounding=seen.rounding, state=seen.state
    )


def planted(good: Path, fault: Fault, folder: Path) -> Path:
    path = folder / good.name
    if fault.format == "onnx":
        model = onnx.load(good)
        fault.plant(model)
        onnx.save(model, path)
        return path
    from ai_edge_litert import schema_py_generated as schema

    from export.to_tflite import _pack

    parsed = schema.ModelT.InitFromPackedBuf(good.read_bytes(), 0)
    fault.plant(parsed)
    path.write_bytes(_pack(parsed))
    return path


def exported(weights: Path, fault: Fault, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exports another network than the one that the weights file holds."""
    right = checkpoints.Weights.network

    def wrong(self: checkpoints.Weights) -> nn.Module:
        network = right(self)
        fault.plant(network)
        return network

    monkeypatch.setattr(checkpoints.Weights, "network", wrong)
    convert = to_onnx.convert if fault.format == "onnx" else to_coreml.convert
    (artifact,) = convert(Job(weights, ("float32",), folder))
    monkeypatch.undo()
    return folder / artifact.file


def confirm(found: Localisation, fault: Fault) -> None:
    assert found.born_at is not None, found.summary
    told = (found.born_at.scope, found.born_at.suspicion)
    assert told == (fault.scope, fault.suspicion), found.summary
    assert fault.evidence in found.born_at.evidence
    assert fault.op in ("", found.born_at.candidate_op)
    row = found.rows[found.born_at.row]
    assert (row.candidate_op, row.candidate_tensor) == (
        found.born_at.candidate_op,
        found.born_at.candidate_tensor,
    )


@pytest.mark.parametrize("fault", [*EDITED, *STORED], ids=str)
def test_a_fault_in_a_file_is_localised(
    fault: Fault, build_of: BuildOf, evidence_of: EvidenceOf, tmp_path: Path
) -> None:
    build = build_of(fault.model)
    path = planted(build.folder / f"{fault.model}_float32.{fault.format}", fault, tmp_path)
    confirm(validated(traced(path), evidence_of(build.weights)), fault)


@pytest.mark.parametrize("fault", [*EXPORTED, *REPLACED], ids=str)
def test_a_fault_in_an_export_is_localised(
    fault: Fault,
    build_of: BuildOf,
    evidence_of: EvidenceOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = build_of(fault.model)
    path = exported(build.weights, fault, tmp_path, monkeypatch)
    confirm(validated(traced(path), evidence_of(build.weights)), fault)


@pytest.mark.parametrize("format_", ["onnx", "mlpackage"])
def test_weights_cast_before_folding_overflow(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network("ssrnet")
    norm = network.get_submodule("x_stream.blocks.0.1")
    with torch.no_grad():
        variance = norm.get_buffer("running_var")
        stretch = 71_233.0 / variance[7]
        variance[7] *= stretch
        norm.get_parameter("weight")[7] *= stretch.sqrt()
    weights = tmp_path / "w.safetensors"
    checkpoints.write(weights, network, model_id="ssrnet")
    scope = "x_stream.blocks.0.1"
    fault = Fault("half", "ssrnet", format_, cast_before_folding, scope, "fp16 overflow", "71,233")
    folder = tmp_path / "made"
    folder.mkdir()
    path = exported(weights, fault, folder, monkeypatch)
    seen = evidence(weights, given(checkpoints.read(weights).contract), "float32")
    confirm(validated(traced(path), seen), fault)


@pytest.mark.parametrize(
    ("change", "suspicion", "told"),
    [
        ({"color_order": "RGB"}, "RGB/BGR order", "reversed"),
        ({"value_range": (0.0, 1.0)}, "value range / mean / std", "0.003922"),
        ({"mean": (104.0, 117.0, 123.0)}, "value range / mean / std", "-104, -117, -123"),
    ],
)
def test_a_contract_that_feeds_otherwise_is_told_at_the_input(
    change: dict[str, Any],
    suspicion: str,
    told: str,
    build_of: BuildOf,
    evidence_of: EvidenceOf,
) -> None:
    build = build_of("c3ae-plain")
    path = build.folder / "c3ae-plain_float32.tflite"
    contract = replace(read_metadata(path).contract, **change)
    found = validated(traced(path, contract), evidence_of(build.weights)).born_at
    assert found is not None
    assert (found.op, found.suspicion) == ("input", suspicion)
    assert told in found.evidence


MODELS = (
    "ssrnet",
    "c3ae-plain",
    "c3ae",
    "mobileagenet",
    # The layers of ssrnet once more, for a build that no other test asks for.
    pytest.param("ssrnet-gender", marks=pytest.mark.slow),
)
FILES = (
    "float32.onnx",
    "float32.tflite",
    "float16.tflite",
    "float32.mlpackage",
    "float16.mlpackage",
)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("model_id", MODELS)
def test_a_right_conversion_accuses_nobody(model_id: str, file: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    precision = file.partition(".")[0]
    fed = given(build.manifest.contract)
    seen = evidence(build.weights, fed, precision)
    found = localise(
        seen.traces,
        traced(build.folder / f"{model_id}_{file}"),
        precision=precision,
        rounding=seen.rounding,
        state=seen.state,
    )
    assert found.born_at is None, found.summary
    assert found.summary.startswith("no single op")
    # Some tensor of every stage was found again, and the answers are held to each other.
    assert len(found.rows) > len(seen.traces[0]) / 2
    assert found.rows[-1].tensor == seen.traces[0][-1].output


def test_one_sample_tells_a_linears_weights_from_its_bias(
    build_of: BuildOf, evidence_of: EvidenceOf, tmp_path: Path
) -> None:
    build = build_of("c3ae-plain")
    fault = next(f for f in STORED if str(f) == "c3ae-plain-onnx-replaced-linear")
    path = planted(build.folder / "c3ae-plain_float32.onnx", fault, tmp_path)
    seen = evidence_of(build.weights)
    alone = replace(seen, traces=seen.traces[:1])
    confirm(validated(traced(path)[:1], alone), fault)


def test_without_the_network_only_what_is_far_off_is_told(
    build_of: BuildOf, tmp_path: Path
) -> None:
    build = build_of("c3ae-plain")
    right, other = (build.folder / f"c3ae-plain_float32.{s}" for s in ("onnx", "tflite"))
    assert localise(traced(right), traced(other), precision="float32").born_at is None
    fault = next(f for f in EDITED if str(f) == "c3ae-plain-tflite-no-relu")
    harmed = planted(other, fault, tmp_path)
    found = localise(traced(right), traced(harmed), precision="float32").born_at
    assert found is not None
    assert (found.scope, found.suspicion) == ("trunk.2.relu", "activation removed")
