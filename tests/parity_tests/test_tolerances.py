"""Gates as data: the defaults, a user's file over them, and files that say nonsense."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from parity_tests import tolerances
from parity_tests.tolerances import Tolerance

ONNX = {"format": "onnx", "precision": "float32", "runtime": "onnxruntime", "model": "c3ae"}


def of(loaded: tolerances.Tolerances, **changes: str) -> Tolerance:
    return loaded.of(unit="years", **{**ONNX, **changes})


def test_every_default_has_all_gates_and_a_reason() -> None:
    loaded = tolerances.load()
    for precision in ("float32", "float16"):
        for format_ in ("onnx", "tflite", "coreml"):
            gates = of(loaded, format=format_, precision=precision)
            assert gates.mean <= gates.p99 <= gates.max <= gates.searched
            assert gates.reason


def test_float16_is_allowed_more_than_float32_and_core_ml_more_than_onnx() -> None:
    loaded = tolerances.load()
    assert of(loaded).max < of(loaded, precision="float16").max
    assert of(loaded).max < of(loaded, format="coreml").max
    # A later rule of another precision is not undone by the one for Core ML.
    coreml16 = of(loaded, format="coreml", precision="float16")
    assert coreml16.max == of(loaded, format="tflite", precision="float16").max


def test_a_score_is_gated_at_the_same_share_of_its_span() -> None:
    loaded = tolerances.load()
    assert loaded.of(unit="score", **ONNX).max == pytest.approx(of(loaded).max / 100)


def test_a_users_rule_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nmodel = "c3ae"\nmax = 0.5\nreason = "mine"\n')
    before, after = tolerances.load(), tolerances.load(path)
    assert of(after).max == 0.5
    assert of(after).p99 == of(before).p99
    assert of(after, model="ssrnet") == of(before, model="ssrnet")
    assert after.growth == before.growth


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max = 1.0\n", "unknown table"),
        ("[[rule]]\nmaximum = 1.0\n", "did you mean 'max'"),
        ("[[rule]]\nmax = -1.0\n", "'max' is -1.0"),
        ("[[rule]]\nmax = nan\n", "'max' is nan"),
        ("[[rule]]\nmax = true\n", "'max' is True"),
        ('[[rule]]\nmax = "1"\n', "'max' is '1'"),
        ("[[rule]]\nmodel = 3\n", "'model' is 3"),
        ("[[rule]]\nreason = 3\n", "'reason' is 3"),
        ("rule = [", "no tolerances in"),
    ],
)
def test_nonsense_is_refused_by_name(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        tolerances.load(path)
    assert told in str(refused.value)


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        tolerances.load(tmp_path / "gone.toml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        with contextlib.suppress(UsageError):
            tolerances.load(path)
