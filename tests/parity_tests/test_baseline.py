"""An error that passes its gate and has still grown since the baseline, and what a baseline is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Build, Entry, Manifest
from agecompact.errors import UsageError
from agecompact.formats import FORMATS
from agecompact.models import registry
from parity_tests import results as records
from parity_tests.baseline import compare_with_baseline, read_baseline
from parity_tests.command import command
from parity_tests.results import Result
from parity_tests.tolerances import load
from parity_tests.verdict import Candidate
from tests.parity_tests.records import GOOD
from tests.support import Agecompact

GROWTH = load().growth


def compared(now: Result, before: Result = GOOD) -> Result:
    return compare_with_baseline([now], [before], GROWTH)[0]


@pytest.mark.parametrize("figure", ["max_error", "p99_error", "mean_error"])
def test_an_error_that_grew_within_its_gate_fails(figure: str) -> None:
    gate = getattr(GOOD.tolerance, figure.removesuffix("_error"))
    result = compared(replace(GOOD, **{figure: 0.9 * gate}))
    assert (result.status, result.kind) == ("failed", "regression")
    assert "in the baseline" in result.reason


@pytest.mark.parametrize(
    "now",
    [
        GOOD,
        # Twice a trifle is a trifle.
        replace(GOOD, max_error=2.5e-5, p99_error=2.5e-5),
        # The search tries other inputs as soon as an output changes.
        replace(GOOD, searched_error=1e-3),
        replace(GOOD, max_error=1e-6),
        replace(GOOD, sha256="0" * 64, runtime_version="onnxruntime 9"),
        # A failure keeps its own kind.
        replace(GOOD, status="failed", kind="mismatch", max_error=1.0),
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


def check_of(format_: str, file: str) -> Candidate:
    """A check of a C3AE build without files."""
    entry = Entry(
        file=file,
        format=format_,
        precision="float32",
        sha256="0" * 64,
        bytes=1,
        converter="a tool",
        versions={},
        opset=None,
        batch=1,
        conversion_s=1.0,
    )
    contract = registry.get("c3ae").contract
    made = Manifest("c3ae", "w.safetensors", "0" * 64, "", "", contract, 1, 1, 1, (entry,))
    return Candidate(Build(Path(), made), entry, FORMATS[format_].runtimes[0])


ONNX = check_of("onnx", GOOD.artifact)
TFLITE = replace(GOOD, artifact="c3ae_float32.tflite", runtime="litert", label="LiteRT")
CHECKS = (ONNX, check_of("tflite", TFLITE.artifact))


def test_a_baseline_with_a_result_for_every_check_is_read(tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    # It may hold more, and checks that did not pass then.
    other = replace(GOOD, artifact="c3ae_float16.tflite")
    failed = replace(TFLITE, status="failed", kind="mismatch", reason="", max_error=9.0)
    records.write(path, [GOOD, other, failed])
    assert read_baseline(path, CHECKS) == (GOOD, other, failed)


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ([], "nothing passed in it"),
        ([replace(GOOD, status="skipped"), replace(TFLITE, status="failed")], "nothing passed"),
        ([GOOD], "it has no result for c3ae_float32.tflite in LiteRT"),
        ([replace(GOOD, model="ssrnet"), replace(TFLITE, model="ssrnet")], "it is of ssrnet"),
        ([GOOD, GOOD, TFLITE], "2 results for c3ae_float32.onnx"),
        ([replace(GOOD, unit="score"), TFLITE], "in score, those of the build in years"),
        ([replace(GOOD, max_error=None), TFLITE], "passed without a greatest error"),
        ([GOOD, replace(TFLITE, p99_error=None)], "passed without a 99th percentile"),
        ([replace(GOOD, mean_error=None), TFLITE], "passed without a mean error"),
        ([replace(GOOD, max_error=-1.0), TFLITE], "a greatest error of -1"),
        ([replace(GOOD, p99_error=-0.1), TFLITE], "a 99th percentile of -0.1"),
        # With such a baseline, nothing would ever count as grown.
        ([replace(GOOD, mean_error=1e9), TFLITE], "a mean error of 1e\\+09"),
        ([replace(GOOD, max_error=None, mean_error=None), TFLITE], "and 1 more"),
    ],
)
def test_a_baseline_that_hides_a_growth_is_refused(
    results: list[Result], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "parity.json"
    records.write(path, results)
    with pytest.raises(UsageError) as refused:
        read_baseline(path, CHECKS)
    assert re.search(why, refused.value.why)
    assert "without --baseline" in refused.value.fix


Damage = Callable[[dict[str, Any]], None]


def in_first(field: str, value: Any) -> Damage:
    return lambda report: report["results"][0].update({field: value})


DAMAGE: dict[str, Damage] = {
    "nan": in_first("max_error", float("nan")),
    "infinity": in_first("mean_error", float("inf")),
    "text": in_first("p99_error", "small"),
    "null": in_first("p99_error", None),
    "negative": in_first("max_error", -1.0),
    "null-status": in_first("status", None),
    "unknown-field": in_first("maximum", 1.0),
    "missing-field": lambda report: report["results"][0].pop("mean_error"),
    "empty": lambda report: report["results"].clear(),
    "null-results": lambda report: report.update(results=None),
    "no-results": lambda report: report.pop("results"),
    "one-missing": lambda report: report["results"].pop(0),
    "no-version": lambda report: report.pop("schema_version"),
}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build without its files, with the results of an earlier run."""
    folder = tmp_path / "build"
    folder.mkdir()
    made = CHECKS[0].build.manifest
    entries = tuple(check.entry for check in CHECKS)
    manifest.write(folder, replace(made, artifacts=entries))
    (folder / records.FILE_NAME).write_text("of an earlier run")
    return folder


def damaged(tmp_path: Path, damage: str) -> Path:
    report = records.as_json([GOOD, TFLITE])
    DAMAGE[damage](report)
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(report))
    return baseline


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_baseline_is_refused_before_anything_runs(
    damage: str, build: Path, tmp_path: Path
) -> None:
    baseline = damaged(tmp_path, damage)
    done = CliRunner().invoke(command, ["check", str(build), "--baseline", str(baseline)])
    assert isinstance(done.exception, UsageError), done.output
    assert str(baseline) in done.exception.what
    assert "agecompact parity" in done.exception.fix
    assert (build / records.FILE_NAME).read_text() == "of an earlier run"


def test_a_refused_baseline_exits_2(build: Path, tmp_path: Path, agecompact: Agecompact) -> None:
    done = agecompact("parity", build, "--baseline", damaged(tmp_path, "null"))
    assert done.returncode == 2
    assert "passed without a 99th percentile" in done.stderr
    assert "Traceback" not in done.stderr
