"""Comparison with an earlier run: an error may pass its gate and still have grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.results import Result
from parity_tests.tolerances import AllowedGrowth


def compare_with_baseline(
    results: Sequence[Result], baseline: Sequence[Result], growth: AllowedGrowth
) -> tuple[Result, ...]:
    """Fails a check that passes where its error has grown, and one that has disappeared.

    Args:
        results: The results of this run.
        baseline: Those of the earlier run. A check that it does not contain is left as it is.
        growth: How much an error may grow.
    """
    before = {result.key: result for result in baseline}
    compared = [_compared(result, before.get(result.key), growth) for result in results]
    now = {result.key for result in results}
    gone = [
        _regressed(result, "it passed in the baseline and is no longer in the build")
        for key, result in before.items()
        if key not in now and result.status == "passed"
    ]
    return (*compared, *gone)


def _compared(result: Result, before: Result | None, growth: AllowedGrowth) -> Result:
    if result.status != "passed" or before is None or before.status != "passed":
        return result
    for what, error, earlier, gate in (
        # Not the searched error: the search tries other inputs as soon as an output changes.
        ("99th percentile", result.p99_years, before.p99_years, result.tolerance.p99),
        ("mean error", result.mean_years, before.mean_years, result.tolerance.mean),
        ("greatest error", result.max_years, before.max_years, result.tolerance.max),
    ):
        if error is None or earlier is None:
            continue
        if error > earlier * growth.factor and error - earlier > gate * growth.share:
            reason = f"{what} {error:.3g} {result.unit}, {earlier:.3g} in the baseline"
            return _regressed(result, reason)
    return result


def _regressed(result: Result, reason: str) -> Result:
    return replace(result, status="failed", kind="regression", reason=reason)
