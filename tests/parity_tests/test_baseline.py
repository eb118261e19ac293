"""An error that passes its gate and has still grown since the baseline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity_tests.baseline import compare_with_baseline
from parity_tests.results import Result
from parity_tests.tolerances import load
from tests.parity_tests.records import GOOD

GROWTH = load().growth


def compared(now: Result, before: Result = GOOD) -> Result:
    return compare_with_baseline([now], [before], GROWTH)[0]


@pytest.mark.parametrize("figure", ["max_years", "p99_years", "mean_years"])
def test_an_error_that_grew_within_its_gate_fails(figure: str) -> None:
    gate = getattr(GOOD.tolerance, figure.removesuffix("_years"))
    result = compared(replace(GOOD, **{figure: 0.9 * gate}))
    assert (result.status, result.kind) == ("failed", "regression")
    assert "in the baseline" in result.reason


@pytest.mark.parametrize(
    "now",
    [
        GOOD,
        # Twice a trifle is a trifle.
        replace(GOOD, max_years=2.5e-5, p99_years=2.5e-5),
        # The search tries other inputs as soon as an output changes.
        replace(GOOD, searched_years=1e-3),
        replace(GOOD, max_years=1e-6),
        replace(GOOD, sha256="0" * 64, runtime_version="onnxruntime 9"),
        # A failure keeps its own kind.
        replace(GOOD, status="failed", kind="mismatch", max_years=1.0),
    ],
)
def test_a_result_without_growth_is_unchanged(now: Result) -> None:
    assert compared(now) == now


def test_a_new_check_is_unchanged_and_one_that_disappeared_fails() -> None:
    other = replace(GOOD, artifact="c3ae_float16.tflite")
    assert compare_with_baseline([other, GOOD], [GOOD], GROWTH) == (other, GOOD)
    (kept, gone) = compare_with_baseline([GOOD], [GOOD, other], GROWTH)
    assert kept == GOOD
    assert (gone.artifact, gone.status, gone.kind) == (other.artifact, "failed", "regression")


def test_a_skipped_check_may_disappear() -> None:
    skipped = replace(GOOD, status="skipped", kind="missing", runtime="coreml")
    assert compare_with_baseline([GOOD], [GOOD, skipped], GROWTH) == (GOOD,)
