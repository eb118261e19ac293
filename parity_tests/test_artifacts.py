"""The release gate as a test suite: `pytest parity_tests --build build`.

One test an artefact, a runtime and a property. A property that a failure kept from being looked at
is skipped, never passed.
"""

from __future__ import annotations

import pytest

from parity_tests.results import KINDS, Result

_ORDER = {kind: place for place, kind in enumerate(KINDS)}


def _holds(result: Result, *kinds: str) -> None:
    """Fails for a failure of these kinds; skips where an earlier one hid them."""
    if result.kind is None:
        return
    if result.kind in kinds:
        told = result.localisation["lines"] if result.localisation else ()
        pytest.fail("\n".join([f"{result.kind}: {result.reason}", *told]), pytrace=False)
    if _ORDER[result.kind] < min(_ORDER[kind] for kind in kinds):
        pytest.skip(f"not reached: {result.kind}: {result.reason}")


def test_it_loads(result: Result) -> None:
    _holds(result, "conversion", "load")


def test_it_says_what_it_is(result: Result) -> None:
    _holds(result, "metadata")


def test_its_interface_is_the_contracts(result: Result) -> None:
    _holds(result, "names", "order", "shapes", "dtypes")


def test_it_runs(result: Result) -> None:
    _holds(result, "run", "crash", "timeout")


def test_its_answers_are_numbers_that_vary(result: Result) -> None:
    _holds(result, "not-finite", "degenerate")


def test_it_answers_as_pytorch_does(result: Result) -> None:
    _holds(result, "mismatch", "task")


def test_it_is_what_was_built(result: Result) -> None:
    _holds(result, "weights", "regression", "integrity")
