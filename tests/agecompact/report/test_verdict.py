"""What a report says first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agecompact.report import evidence, verdict
from tests import report_builds

ONNX, TFLITE = "ssrnet_float32.onnx", "ssrnet_int8.tflite"


def judged(root: Path) -> verdict.Verdict:
    return verdict.of(evidence.read(root))


def skip(results: Any) -> None:
    for result in results:
        result.update(status="skipped", kind="missing", max_error=None)


def test_all_passed(tmp_path: Path) -> None:
    found = judged(report_builds.write(tmp_path))
    assert (found.outcome, found.counts) == ("passed", "6 artefacts: 6 passed.")
    # The greatest of all errors, and the artefact that has it.
    assert found.errors == (
        "Greatest error against PyTorch: 0.06 years, in ssrnet_int8.onnx (0.1 allowed).",
    )


def test_one_failure_fails_the_build_and_is_the_worst(tmp_path: Path) -> None:
    found = judged(report_builds.write(tmp_path, failing=[TFLITE]))
    assert (found.outcome, found.counts) == ("failed", "6 artefacts: 5 passed, 1 failed.")
    assert found.worst[0].artifact == TFLITE
    assert found.worst[0].error == 4.2


def test_a_conversion_that_failed_fails_the_build(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path)
    report_builds.add_not_made(root, "ssrnet_int8-weights.tflite", "it crashed")
    found = judged(root)
    assert (found.outcome, found.artifacts) == ("failed", 7)
    assert "1 could not be made" in found.counts


def test_a_file_that_changed_since_leaves_the_verdict_open(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path)
    (root / "build" / ONNX).write_text("another file")
    found = judged(root)
    assert (found.outcome, found.counts) == ("incomplete", "6 artefacts: 5 passed, 1 not checked.")


@pytest.mark.parametrize("edit", [skip, lambda results: results.clear()], ids=["skipped", "none"])
def test_a_build_of_which_nothing_ran_has_not_passed(edit: Any, tmp_path: Path) -> None:
    root = report_builds.write(tmp_path)
    report_builds.edit_results(root, edit)
    found = judged(root)
    assert found.outcome == "incomplete"
    assert found.worst == ()


def test_the_worst_is_told_for_each_unit_and_years_come_first(tmp_path: Path) -> None:
    root = report_builds.write(tmp_path)
    report_builds.edit_results(root, lambda results: results[0].update(unit="degrees"))
    assert [worst.unit for worst in judged(root).worst] == ["years", "degrees"]
