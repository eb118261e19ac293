"""Verdicts held to those of an earlier day: an error may pass its gate and still have grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.results import Result
from parity_tests.tolerances import Growth


def held_to(
    results: Sequence[Result], baseline: Sequence[Result], growth: Growth
) -> tuple[Result, ...]:
    """Fails what passes, where its error grew, and what passed once and is now not told of.

    Args:
        results: Of today.
        baseline: Of the day to compare with; what it does not hold is new, and stands as it is.
        growth: How much an error may grow.
    """
    then = {result.key: result for result in baseline}
    judged = [_grown(result, then.get(result.key), growth) for result in results]
    now = {result.key for result in results}
    gone = [
        replace(
            result,
            status="failed",
            kind="regression",
            reason="it passed in the baseline and is no longer in the build",
        )
        for key, result in then.items()
        if key not in now and result.status == "passed"
    ]
    return (*judged, *gone)


def _grown(result: Result, then: Result | None, growth: Growth) -> Result:
    if result.status != "passed" or then is None or then.status != "passed":
        return result
    for what, mine, theirs, gate in (
        # Not the searched one, which is of other inputs each time that answers change.
        ("99th percentile", result.p99_years, then.p99_years, result.tolerance.p99),
        ("mean error", result.mean_years, then.mean_years, result.tolerance.mean),
        ("greatest error", result.max_years, then.max_years, result.tolerance.max),
    ):
        if mine is None or theirs is None:
            continue
        if mine > theirs * growth.factor and mine - theirs > gate * growth.share:
            reason = f"{what} {mine:.3g} {result.unit}, {theirs:.3g} in the baseline"
            return replace(result, status="failed", kind="regression", reason=reason)
    return result
