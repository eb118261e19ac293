"""Correct conversions of random weights stay well within the gates, and reports say so."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from parity_tests.inputs import standard
from parity_tests.markdown import to_markdown
from parity_tests.results import ParityReport, Result, passed
from tests.marks import by_model
from tests.parity_tests.editing import truncated
from tests.parity_tests.records import GOOD
from tests.support import Agecompact, BuildOf, CopyBuild, verdicts_on


@pytest.fixture(scope="module", params=by_model("ssrnet", "c3ae-plain", "c3ae", "mobileagenet"))
def results(request: pytest.FixtureRequest, build_of: BuildOf) -> dict[str, Result]:
    prefix = f"{request.param}_"
    found = verdicts_on(build_of(request.param))
    return {f"{r.artifact.removeprefix(prefix)} {r.runtime}": r for r in found}


@pytest.mark.parametrize(
    ("check", "most_years"),
    [
        ("float32.onnx onnxruntime", 1e-4),
        ("float32.tflite litert", 1e-4),
        ("float32.mlpackage mil", 1e-3),
        ("float16.tflite litert", 0.1),
        ("float16.mlpackage mil", 0.1),
        ("float16.mlpackage mil-float32", 0.1),
    ],
)
def test_its_outputs_match_pytorchs(
    results: dict[str, Result], check: str, most_years: float
) -> None:
    result = results[check]
    assert (result.status, result.kind) == ("passed", None)
    assert result.max_error is not None
    assert result.p99_error is not None
    assert result.mean_error is not None
    assert result.mean_error <= result.p99_error <= result.max_error <= most_years
    assert result.quantiles is not None
    levels = [*astuple(result.quantiles), result.p99_error, result.max_error]
    assert levels == sorted(levels)


def test_noise_differs_from_crop_to_crop(build_of: BuildOf) -> None:
    contract = build_of("c3ae").manifest.contract
    noise = [sample for sample in standard(contract) if sample.name.startswith("noise")]
    assert noise
    for sample in noise:
        assert list(sample.crops) == ["outer", "middle", "inner"]
        assert len({crop.tobytes() for crop in sample.crops.values()}) == 3


@pytest.mark.slow
def test_the_command_writes_the_documented_json_and_junit(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float16.tflite", "float32.mlpackage")
    done = agecompact("parity", build.folder, "--json", "-")
    assert done.returncode == 0, done.stderr
    written = json.loads((build.folder / "parity.json").read_text())
    assert json.loads(done.stdout) == written
    assert written["schema_version"] == ParityReport.SCHEMA_VERSION
    assert written["passed"] is True
    statuses = {row["runtime"]: row["status"] for row in written["results"]}
    gates = {row["runtime"]: row["tolerance"]["max"] for row in written["results"]}
    assert statuses.pop("coreml") in ("skipped", "passed")
    assert statuses == {"onnxruntime": "passed", "litert": "passed", "mil": "passed"}
    assert gates["onnxruntime"] < gates["mil"] < gates["litert"]
    assert _counts(build.folder)["failures"] == 0


def test_a_failure_is_named_in_every_report_and_exits_1(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float16.tflite", "float32.mlpackage")
    truncated()(build.folder / "ssrnet_float16.tflite")
    summary = build.folder / "summary.md"
    done = agecompact("parity", build.folder, "--markdown", summary, "--no-search")
    assert done.returncode == 1
    assert "ssrnet_float16.tflite in LiteRT: load: " in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((build.folder / "parity.json").read_text())["passed"] is False
    counts = _counts(build.folder)
    # The package runs in Core ML and in the reference runtime.
    assert (counts["tests"], counts["failures"], counts["errors"]) == (4, 1, 0)
    case = ET.parse(build.folder / "parity.xml").find("testcase/failure")
    assert case is not None
    assert case.get("type") == "load"
    lines = summary.read_text().splitlines()
    ran = counts["tests"] - counts["skipped"]
    assert lines[0] == f"### Parity failed: {ran - 1} of {ran} checks agree with PyTorch"
    # The failure comes first.
    rows = [line for line in lines if line.startswith("| ssrnet")]
    assert ["**failed: load**" in row for row in rows] == [True, *[False] * (ran - 1)]


def test_a_run_that_fails_leaves_no_earlier_results(
    copy_build: CopyBuild, agecompact: Agecompact, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.jpg").write_text("no image")
    outputs = {"--markdown": "table.md", "--json": "results.json"}
    names = ("parity.json", "parity.xml", *outputs.values())
    for name in names:
        (build.folder / name).write_text("results of an earlier run")
    arguments = [each for o, name in outputs.items() for each in (o, build.folder / name)]
    images = ("--images", tmp_path / "images")
    done = agecompact("parity", build.folder, "--no-search", *images, *arguments)
    assert done.returncode == 2, done.stderr
    assert not [name for name in names if (build.folder / name).exists()]


def test_a_build_that_nothing_ran_has_not_passed() -> None:
    skipped = [replace(GOOD, status="skipped", kind="missing")]
    assert not passed(skipped)
    assert "failed" in to_markdown(skipped).splitlines()[0]


def _counts(folder: Path) -> dict[str, int]:
    """The suite's counts, checked against its cases."""
    suite = ET.parse(folder / "parity.xml").getroot()
    assert suite.tag == "testsuite"
    cases = suite.findall("testcase")
    counts = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    assert counts["tests"] == len(cases)
    assert counts["failures"] == sum(case.find("failure") is not None for case in cases)
    assert counts["skipped"] == sum(case.find("skipped") is not None for case in cases)
    return counts
