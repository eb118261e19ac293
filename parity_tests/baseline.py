"""Comparison with an earlier run: an error may pass its gate and still have grown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agecompact.errors import UsageError
from parity_tests import results as records
from parity_tests.results import Result
from parity_tests.tolerances import AllowedGrowth
from parity_tests.verdict import Candidate


def read_baseline(path: Path, checks: Sequence[Candidate]) -> tuple[Result, ...]:
    """Reads the results of an earlier run that every check can be compared with.

    Args:
        path: A `parity.json`.
        checks: The checks of this run.

    Raises:
        UsageError: The file cannot be read, or a check cannot be compared with it: it has no result
            for that check, or not in its unit, or one that passed without believable errors.
    """
    baseline = records.read(path)
    faults = tuple(_faults(baseline, checks))
    if faults:
        more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise UsageError(
            f"{path} cannot be the baseline of this build",
            why=faults[0] + more,
            fix="make a new one: run agecompact parity without --baseline and keep its parity.json",
        )
    return baseline


def _faults(baseline: Sequence[Result], checks: Sequence[Candidate]) -> Iterator[str]:
    if all(result.status != "passed" for result in baseline):
        yield "nothing passed in it"
        return
    models = {check.build.manifest.model for check in checks}
    theirs = {result.model for result in baseline}
    if models.isdisjoint(theirs):
        yield f"it is of {', '.join(sorted(theirs))}, the build of {', '.join(sorted(models))}"
        return
    for name, count in Counter(result.name for result in baseline).items():
        if count > 1:
            yield f"it has {count} results for {name}"
    for result in baseline:
        if result.status == "passed":
            yield from _impossible(result)
    units = {result.key: result.unit for result in baseline}
    for check in checks:
        outputs = check.build.manifest.contract.outputs
        for output in outputs:
            name = output.name if len(outputs) > 1 else ""
            what, found = f"{check.name}{name and f', {name}'}", units.get((*check.key, name))
            if found is None:
                yield f"it has no result for {what}"
            elif found != output.compared_unit:
                mine = output.compared_unit
                yield f"its errors of {what} are in {found}, those of the build in {mine}"


def _impossible(result: Result) -> Iterator[str]:
    """Errors with which the result cannot have passed."""
    gates = result.tolerance
    if gates is None:
        yield f"{result.name} passed without gates"
        return
    for what, error, gate in (
        ("greatest error", result.max_error, gates.max),
        ("99th percentile", result.p99_error, gates.p99),
        ("mean error", result.mean_error, gates.mean),
    ):
        if error is None:
            yield f"{result.name} passed without a {what}"
        elif not 0 <= error <= gate:
            yield f"{result.name} passed with a {what} of {error:g}, 0 to {gate:g} passes"


def compare_with_baseline(
    results: Sequence[Result], baseline: Sequence[Result], growth: AllowedGrowth
) -> tuple[Result, ...]:
    """Fails a check that passes where its error has grown, and one that has disappeared.

    Args:
        results: The results of this run.
        baseline: Those of the earlier run, as `read_baseline` accepts them.
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
    assert result.tolerance is not None, "a check passes by its gates"
    for what, error, earlier, gate in (
        # Not the searched error: the search tries other inputs as soon as an output changes.
        ("99th percentile", result.p99_error, before.p99_error, result.tolerance.p99),
        ("mean error", result.mean_error, before.mean_error, result.tolerance.mean),
        ("greatest error", result.max_error, before.max_error, result.tolerance.max),
    ):
        if error is None or earlier is None:
            continue
        if error > earlier * growth.factor and error - earlier > gate * growth.share:
            reason = f"{what} {error:.3g} {result.unit}, {earlier:.3g} in the baseline"
            return _regressed(result, reason)
    return result


def _regressed(result: Result, reason: str) -> Result:
    return replace(result, status="failed", kind="regression", reason=reason)
