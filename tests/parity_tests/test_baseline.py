"""An error that passes and yet has grown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity_tests import tolerances
from parity_tests.baseline import compare_with_baseline
from parity_tests.results import Result

LOADED = tolerances.load()
GATES = LOADED.of(
    unit="years", format="onnx", precision="float32", runtime="onnxruntime", model="c3ae"
)
GOOD = Result(
    model="c3ae",
    artifact="c3ae_float32.onnx",
    precision="float32",
    runtime="onnxruntime",
    label="ONNX Runtime",
    status="passed",
    kind=None,
    reason="",
    unit="years",
    tolerance=GATES,
    max_years=2e-5,
    p99_years=2e-5,
    mean_years=1e-5,
    searched_years=1e-4,
)


def validated(now: Result, then: Result = GOOD) -> Result:
    return compare_with_baseline([now], [then], LOADED.growth)[0]


@pytest.mark.parametrize("figure", ["max_years", "p99_years", "mean_years"])
def test_an_error_that_grew_within_its_gate_fails(figure: str) -> None:
    gate = getattr(GATES, figure.removesuffix("_years"))
    result = validated(replace(GOOD, **{figure: 0.9 * gate}))
    assert (result.status, result.kind) == ("failed", "regression")
    assert "in the baseline" in result.reason


@pytest.mark.parametrize(
    "now",
    [
        GOOD,
        # Twice a trifle is a trifle.
        replace(GOOD, max_years=2.5e-5, p99_years=2.5e-5),
        # Of other inputs each time that answers change.
        replace(GOOD, searched_years=1e-3),
        replace(GOOD, max_years=1e-6),
        replace(GOOD, sha256="0" * 64, runtime_version="onnxruntime 9"),
    ],
)
def test_what_did_not_grow_stands(now: Result) -> None:
    assert validated(now) == now


def test_what_is_new_stands_and_what_is_gone_fails() -> None:
    other = replace(GOOD, artifact="c3ae_float16.tflite")
    assert compare_with_baseline([other, GOOD], [GOOD], LOADED.growth) == (other, GOOD)
    (kept, gone) = compare_with_baseline([GOOD], [GOOD, other], LOADED.growth)
    assert kept == GOOD
    assert (gone.artifact, gone.status, gone.kind) == (other.artifact, "failed", "regression")


def test_what_was_skipped_may_go() -> None:
    skipped = replace(GOOD, status="skipped", kind="missing", runtime="coreml")
    assert compare_with_baseline([GOOD], [GOOD, skipped], LOADED.growth) == (GOOD,)


def test_a_failure_keeps_its_own_kind() -> None:
    failed = replace(GOOD, status="failed", kind="mismatch", max_years=1.0)
    assert validated(failed) == failed
