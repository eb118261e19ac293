"""When an artefact of an earlier run is of no use any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import agecompact
from agecompact.errors import ConversionError, UsageError
from agecompact.files import sha256_of
from agecompact.models import registry
from agecompact.weights import checkpoints
from export import pipeline
from export.flatbuffer import pack
from export.int8 import record
from export.int8.graph import Graph
from export.int8.record import Record
from export.source import Source
from parity_tests.optimise import candidates
from parity_tests.optimise import measurer as measuring
from parity_tests.optimise.candidates import Candidate
from parity_tests.optimise.judging import Judge
from parity_tests.optimise.measurer import Measurer
from parity_tests.optimise.records import Made
from tests.export.int8.models import float_file
from tests.parity_tests.optimise.made import sha256
from tests.support import BuildOf

pytest.importorskip("ai_edge_litert", reason="needs 'tflite'")

_INT8 = candidates.listed(["int8"], Path("faces")).tried[0]
_WEIGHTS = Path(agecompact.__file__).parent / "weights"
_FLOAT = candidates.listed(["fp32"], None).tried[0]


@pytest.fixture
def measurer(tmp_path: Path) -> Measurer:
    contract = registry.get("ssrnet").contract
    source = Source(tmp_path / "w.safetensors", "ssrnet", contract, sha256("weights"), "")
    judge = Judge(source.path, contract.outputs[0], [])
    hashes = (sha256("network"), sha256("faces"))
    return Measurer(source, None, *hashes, tmp_path, judge, "emulated:cortex-a76")


def _made(measurer: Measurer, candidate: Candidate) -> Made:
    file = candidate.target.file_name("ssrnet")
    path = measurer.folder / "candidates" / candidate.name / "ssrnet" / file
    path.parent.mkdir(parents=True)
    path.write_text("an artefact")
    origin = measurer.origin(candidate)
    return Made(origin=origin, versions={}, file=file, sha256=sha256_of(path), bytes=11)


def test_what_nothing_has_changed_for_is_kept(measurer: Measurer) -> None:
    assert measurer.stale(_INT8, _made(measurer, _INT8)) == ""


def test_other_weights_or_code_make_every_artefact_stale(measurer: Measurer) -> None:
    made = _made(measurer, _FLOAT)
    weights = replace(measurer, source=replace(measurer.source, sha256=sha256("others")))
    network = replace(measurer, network_sha256=sha256("others"))
    assert weights.stale(_FLOAT, made)
    assert network.stale(_FLOAT, made)


def test_other_faces_make_only_calibrated_artefacts_stale(measurer: Measurer) -> None:
    others = replace(measurer, calibration_sha256=sha256("others"))
    assert others.stale(_INT8, _made(measurer, _INT8))
    assert not others.stale(_FLOAT, _made(measurer, _FLOAT))


def test_a_file_that_is_gone_or_changed_is_stale(measurer: Measurer) -> None:
    made = _made(measurer, _FLOAT)
    path = next(measurer.folder.rglob(made.file))
    path.write_text("another one")
    assert measurer.stale(_FLOAT, made) == "it is gone, or has changed"
    path.unlink()
    assert measurer.stale(_FLOAT, made) == "it is gone, or has changed"


def test_another_version_of_a_tool_makes_it_stale(measurer: Measurer) -> None:
    made = replace(_made(measurer, _FLOAT), versions={"numpy": "0.1"})
    assert "numpy 0.1" in measurer.stale(_FLOAT, made)


_PARTLY = candidates.listed(["int8"], None, is_calibrated=True).tried[1]


def _known(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Record:
    """Gives a network the released calibration of SSR-Net, and this float file."""
    (found,) = (record.read(path) for path in _WEIGHTS.glob(f"ssrnet{record.SUFFIX}"))
    monkeypatch.setattr(pipeline, "float_tflite", lambda _: content)
    monkeypatch.setattr(measuring, "opened", lambda *_: found)
    return found


def test_partly_float_int8_is_exported_with_a_calibration_of_its_own(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _known(monkeypatch, pipeline.float_tflite(checkpoints.released_path("ssrnet")))
    asked: list[pipeline.Request] = []
    monkeypatch.setattr(pipeline, "export", asked.append)
    with pytest.raises(UsageError):
        # There is no build to read, because this test exports nothing.
        measurer.make(_PARTLY)
    (request,) = asked
    assert request.calibration is not None
    assert request.calibration.is_relative_to(measurer.folder / "candidates" / _PARTLY.name)
    derived = record.read(request.calibration)
    assert set(derived.header.body) < set(known.header.body)
    assert derived.origin == known.origin


def test_the_calibration_of_another_graph_fails_the_candidate_alone(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch, build_of: BuildOf
) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    next(op for op in graph.ops if op.kind == "CONV_2D").options.strideW += 1
    _known(monkeypatch, pack(graph.model))
    monkeypatch.setattr(pipeline, "export", lambda _: pytest.fail("it was exported"))
    with pytest.raises(ConversionError, match="is the calibration of another graph"):
        measurer.make(_PARTLY)
    assert not list(measurer.folder.rglob(f"*{record.SUFFIX}"))
