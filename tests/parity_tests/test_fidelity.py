"""Right conversions of random weights keep to tenths of the gate."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from parity_tests.check import Result, check_build
from parity_tests.inputs import standard
from tests.support import Agecompact, BuildOf, CopyBuild

MODELS = ("ssrnet", "c3ae-plain", "c3ae", "mobileagenet")
KEYS = {
    "model",
    "artifact",
    "runtime",
    "status",
    "kind",
    "max_years",
    "p99_years",
    "mean_years",
    "tolerance_years",
}


@pytest.fixture(scope="module", params=MODELS)
def results(request: pytest.FixtureRequest, build_of: BuildOf) -> dict[str, Result]:
    found = check_build(build_of(request.param))
    prefix = f"{request.param}_"
    return {result.artifact.removeprefix(prefix): result for result in found}


@pytest.mark.parametrize(
    ("file", "most_years"),
    [("float32.onnx", 1e-4), ("float32.tflite", 1e-4), ("float16.tflite", 0.1)],
)
def test_it_answers_as_pytorch_does(
    results: dict[str, Result], file: str, most_years: float
) -> None:
    result = results[file]
    assert (result.status, result.kind) == ("passed", None)
    assert result.max_years is not None
    assert result.p99_years is not None
    assert result.mean_years is not None
    assert result.mean_years <= result.p99_years <= result.max_years <= most_years


def test_noise_fills_each_crop_differently(build_of: BuildOf) -> None:
    contract = build_of("c3ae").manifest.contract
    noise = [sample for sample in standard(contract) if sample.group == "noise"]
    assert noise
    for sample in noise:
        assert list(sample.crops) == ["outer", "middle", "inner"]
        assert len({crop.tobytes() for crop in sample.crops.values()}) == 3


def test_the_command_writes_the_documented_json_and_junit(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float16.tflite", "float32.mlpackage")
    done = agecompact("parity", build.folder, "--json", "-")
    assert done.returncode == 0, done.stderr
    written = json.loads((build.folder / "parity.json").read_text())
    assert json.loads(done.stdout) == written
    assert written["schema_version"] == 1
    assert written["passed"] is True
    assert all(row.keys() >= KEYS for row in written["results"])
    statuses = {row["artifact"]: row["status"] for row in written["results"]}
    tolerances = {row["artifact"]: row["tolerance_years"] for row in written["results"]}
    assert statuses.pop("ssrnet_float32.mlpackage") in ("skipped", "passed")
    assert set(statuses.values()) == {"passed"}
    assert tolerances["ssrnet_float32.onnx"] == 1e-3
    assert tolerances["ssrnet_float16.tflite"] == 0.1
    assert _counts(build.folder)["failures"] == 0


def test_a_failure_is_named_and_exits_1(copy_build: CopyBuild, agecompact: Agecompact) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float32.mlpackage")
    harmed = build.folder / "ssrnet_float32.onnx"
    harmed.write_bytes(harmed.read_bytes()[:5000])
    done = agecompact("parity", build.folder)
    assert done.returncode == 1
    assert "ssrnet_float32.onnx: load: " in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((build.folder / "parity.json").read_text())["passed"] is False
    counts = _counts(build.folder)
    assert (counts["tests"], counts["failures"], counts["errors"]) == (2, 1, 0)
    case = ET.parse(build.folder / "parity.xml").find("testcase/failure")
    assert case is not None
    assert case.get("type") == "load"


def test_what_nothing_ran_has_not_passed(copy_build: CopyBuild, agecompact: Agecompact) -> None:
    build = copy_build("ssrnet", ".mlpackage")
    statuses = {result.status for result in check_build(build)}
    if statuses != {"skipped"}:
        pytest.skip("Core ML runs here")
    done = agecompact("parity", build.folder)
    assert done.returncode == 1
    assert "no artefact could be run on this machine" in done.stderr
    counts = _counts(build.folder)
    assert (counts["tests"], counts["failures"], counts["skipped"]) == (2, 0, 2)


def _counts(folder: Path) -> dict[str, int]:
    """The suite's counts, once they agree with its cases."""
    suite = ET.parse(folder / "parity.xml").getroot()
    assert suite.tag == "testsuite"
    cases = suite.findall("testcase")
    counts = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    assert counts["tests"] == len(cases)
    assert counts["failures"] == sum(case.find("failure") is not None for case in cases)
    assert counts["skipped"] == sum(case.find("skipped") is not None for case in cases)
    return counts
