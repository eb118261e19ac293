"""Gates as data: the defaults, a user's file over them, and invalid files."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.artifacts.parity import Tolerance
from agecompact.errors import UsageError
from agecompact.formats import OFFERED, Target
from parity_tests.spans import SPANS
from parity_tests.tolerances import Tolerances, load

DEFAULTS = load()


def gates(loaded: Tolerances = DEFAULTS, unit: str = "years", **changes: str) -> Tolerance:
    artifact = {"format": "onnx", "precision": "float32", "runtime": "onnxruntime", "model": "c3ae"}
    return loaded.of(width=SPANS[unit].width, **{**artifact, **changes})


@pytest.mark.parametrize("target", OFFERED, ids=lambda t: t.file_name("c3ae"))
def test_every_target_has_all_gates_and_a_reason(target: Target) -> None:
    found = gates(format=target.format.name, precision=target.precision.name)
    assert found.mean <= found.p99 <= found.max <= found.searched
    assert found.reason


def test_float16_is_allowed_more_than_float32_and_core_ml_more_than_onnx() -> None:
    assert gates().max < gates(precision="float16").max
    assert gates().max < gates(format="coreml").max
    # A rule for a precision also applies to Core ML.
    coreml16 = gates(format="coreml", precision="float16")
    assert coreml16.max == gates(format="tflite", precision="float16").max


def test_a_score_has_the_same_gates_relative_to_its_span() -> None:
    assert gates(unit="score").max == pytest.approx(gates().max / 100)


def test_a_users_rule_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nmodel = "c3ae"\nmax = 0.5\nreason = "mine"\n')
    after = load(path)
    assert gates(after).max == 0.5
    assert gates(after).p99 == gates().p99
    assert gates(after, model="ssrnet") == gates(model="ssrnet")
    assert after.growth == DEFAULTS.growth


@pytest.mark.parametrize(
    ("condition", "suggestion"),
    [
        ('precision = "fp16"', "float16"),
        ('format = "mlpackage"', ""),
        ('runtime = "onnx-runtime"', "onnxruntime"),
    ],
)
def test_a_rule_that_could_never_apply_is_refused(
    condition: str, suggestion: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'[[rule]]\n{condition}\nmax = 0.5\nreason = "mine"\n')
    with pytest.raises(UsageError, match="unknown") as refused:
        load(path)
    assert suggestion in refused.value.fix


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max = 1.0\n", "unknown fields: max"),
        ("[[rule]]\nmaximum = 1.0\n", "unknown fields: maximum at rule[0]"),
        ("[[rule]]\nmax = -1.0\n", "max is -1.0: less than 0 at rule[0]"),
        ("[[rule]]\nmax = nan\n", "nan is not a finite number"),
        ("[[rule]]\nmax = true\n", "True is not a number at rule[0].max"),
        ('[[rule]]\nmax = "1"\n', "'1' is not a number at rule[0].max"),
        ("[[rule]]\nmodel = 3\n", "3 is not text at rule[0].model"),
        ("[[rule]]\nreason = 3\n", "3 is not text at rule[0].reason"),
        ("[baseline]\nfactor = 2.0\n", "a field is missing at baseline.share"),
        ("rule = [", "cannot read tolerances"),
    ],
)
def test_an_invalid_file_is_refused_with_a_reason(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load(path)
    assert reason in str(refused.value)
    assert "a [[rule]] may have: format, precision" in refused.value.fix


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tolerances at"):
        load(tmp_path / "gone.toml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        with contextlib.suppress(UsageError):
            load(path)
