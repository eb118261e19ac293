"""An export that goes on past a converter that fails, and parity that tells of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import read_builds
from agecompact.errors import ConversionError
from export import pipeline, targets
from parity_tests.check import check_builds
from parity_tests.settings import CheckSettings
from tests.support import random_weights

Convert = Callable[..., list[dict[str, object]]]


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[[bool], pipeline.Request]:
    weights = random_weights(tmp_path / "w.safetensors", "ssrnet")
    chosen = targets.select(["onnx", "tflite"], ["fp32"])

    def make(keep_going: bool) -> pipeline.Request:
        return pipeline.Request(weights, chosen, tmp_path / "build", keep_going=keep_going)

    return make


def break_stage(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    real: Convert = pipeline._convert

    def convert(stage: targets.Stage, *rest: object) -> list[dict[str, object]]:
        if stage.format == broken:
            raise ConversionError(f"converting to {broken} failed", why="op UNHEARD_OF")
        return real(stage, *rest)

    monkeypatch.setattr(pipeline, "_convert", convert)


def test_the_other_formats_are_made_and_parity_fails_what_is_missing(
    request_for: Callable[[bool], pipeline.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_stage(monkeypatch, "tflite")
    request = request_for(True)
    written = pipeline.export(request)
    assert [entry.file for entry in written.artifacts] == ["ssrnet_float32.onnx"]
    assert [each.file for each in written.not_made] == ["ssrnet_float32.tflite"]
    results = check_builds(read_builds(request.out), CheckSettings(budget=None))
    told = {result.artifact: (result.status, result.kind) for result in results}
    assert told["ssrnet_float32.onnx"] == ("passed", None)
    assert told["ssrnet_float32.tflite"] == ("failed", "conversion")
    assert any("UNHEARD_OF" in result.reason for result in results)


def test_what_is_converted_from_a_missing_format_is_missing_too(
    request_for: Callable[[bool], pipeline.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_stage(monkeypatch, "onnx")
    written = pipeline.export(request_for(True))
    assert [each.format for each in written.not_made] == ["onnx", "tflite"]
    assert "converted from onnx" in written.not_made[1].reason


def test_otherwise_the_first_failure_ends_it_and_leaves_nothing(
    request_for: Callable[[bool], pipeline.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_stage(monkeypatch, "tflite")
    request = request_for(False)
    with pytest.raises(ConversionError, match="converting to tflite"):
        pipeline.export(request)
    assert not (request.out / "ssrnet").exists()
