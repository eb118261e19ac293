"""The release gate as a test suite: `python -m parity_tests --build build`.

One test per artefact, runtime and property. A property that an earlier failure left unchecked is
skipped, never passed.
"""

from __future__ import annotations

import pytest

from parity_tests.results import KINDS, Result

_ORDER = {kind: place for place, kind in enumerate(KINDS)}


def _has_no_failure(result: Result, *kinds: str) -> None:
    """Fails for a failure of these kinds; skips if an earlier one left them unchecked."""
    if result.kind is None:
        return
    if result.kind in kinds:
        lines = result.localisation["lines"] if result.localisation else ()
        pytest.fail("\n".join([f"{result.kind}: {result.reason}", *lines]), pytrace=False)
    if _ORDER[result.kind] < min(_ORDER[kind] for kind in kinds):
        pytest.skip(f"not reached: {result.kind}: {result.reason}")


def test_it_loads(result: Result) -> None:
    _has_no_failure(result, "reference", "conversion", "load")


def test_its_metadata_match_the_manifest(result: Result) -> None:
    _has_no_failure(result, "metadata")


def test_its_interface_matches_the_contract(result: Result) -> None:
    _has_no_failure(result, "names", "order", "dtypes", "shapes", "interface")


def test_it_runs(result: Result) -> None:
    _has_no_failure(result, "run", "crash", "timeout")


def test_its_outputs_are_finite_and_vary(result: Result) -> None:
    _has_no_failure(result, "not-finite", "degenerate")


def test_its_outputs_match_pytorchs(result: Result) -> None:
    _has_no_failure(result, "mismatch", "task", "batch")


def test_it_is_the_file_that_was_built(result: Result) -> None:
    _has_no_failure(result, "weights", "regression", "integrity")
