"""An export with `--keep-going` continues after a failure, which parity reports."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.console.common import Stages
from agecompact.errors import ConversionError
from agecompact.formats import Format
from export import pipeline, targets
from export.job import Conversion, Job
from parity_tests.check import check_builds
from parity_tests.settings import CheckSettings
from tests.support import random_weights


@pytest.fixture
def keeping_going(tmp_path: Path) -> pipeline.Request:
    weights = random_weights(tmp_path / "w.safetensors", "ssrnet")
    chosen = targets.select(["onnx", "tflite"], ["fp32"])
    return pipeline.Request(weights, chosen, tmp_path / "build", keep_going=True)


def break_converter(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    real = pipeline._convert

    def convert(format_: Format, job: Job, scratch: Path) -> Conversion:
        if format_.name == broken:
            raise ConversionError(f"converting to {broken} failed", why="op UNHEARD_OF")
        return real(format_, job, scratch)

    monkeypatch.setattr(pipeline, "_convert", convert)


def test_the_other_formats_are_made_and_parity_fails_the_missing_one(
    keeping_going: pipeline.Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_converter(monkeypatch, "tflite")
    events: list[str] = []
    stages = Stages(start=lambda d: events.append(f"start {d}"), done=events.append)
    written = pipeline.export(keeping_going, stages).manifest
    assert [entry.file for entry in written.artifacts] == ["ssrnet_float32.onnx"]
    assert [each.file for each in written.not_made] == ["ssrnet_float32.tflite"]
    assert [re.sub(r"\d+(\.\d+)? s", "N s", event) for event in events] == [
        "start ssrnet: onnx float32",
        "ssrnet: onnx float32: N s",
        "start ssrnet: tflite float32",
        "ssrnet: tflite float32: failed",
    ]
    results = check_builds(read_builds(keeping_going.out), CheckSettings(budget=None))
    verdicts = {result.artifact: (result.status, result.kind) for result in results}
    assert verdicts["ssrnet_float32.onnx"] == ("passed", None)
    assert verdicts["ssrnet_float32.tflite"] == ("failed", "conversion")
    assert any("UNHEARD_OF" in result.reason for result in results)


def test_formats_converted_from_a_missing_one_are_missing_too(
    keeping_going: pipeline.Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_converter(monkeypatch, "onnx")
    written = pipeline.export(keeping_going).manifest
    assert [each.format for each in written.not_made] == ["onnx", "tflite"]
    assert "converted from onnx" in written.not_made[1].reason


@pytest.mark.slow
def test_otherwise_the_first_failure_ends_the_export_and_leaves_no_files(
    keeping_going: pipeline.Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_converter(monkeypatch, "tflite")
    with pytest.raises(ConversionError, match="converting to tflite"):
        pipeline.export(replace(keeping_going, keep_going=False))
    assert not (keeping_going.out / "ssrnet").exists()
