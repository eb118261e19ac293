"""`python -m parity_tests --build DIR`, as a user of another project would run it."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from tests.parity_tests.editing import truncated
from tests.support import CopyBuild


def run(build: Path, report: Path) -> subprocess.CompletedProcess[str]:
    suite = ("-m", "parity_tests", f"--build={build}", f"--junitxml={report}")
    return subprocess.run(
        [sys.executable, *suite],
        cwd=report.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def outcomes(report: Path) -> dict[str, Counter[str]]:
    """Number of tests by outcome, by artefact and runtime."""
    found: dict[str, Counter[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        state = next((child.tag for child in case if child.tag in ("failure", "skipped")), "passed")
        key = case.attrib["name"].partition("[")[2].rstrip("]")
        found.setdefault(key, Counter())[state] += 1
    return found


def test_it_has_one_test_per_artefact_runtime_and_property(
    copy_build: CopyBuild, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float16.tflite")
    truncated()(build.folder / "ssrnet_float16.tflite")
    assert run(build.folder, tmp_path / "report.xml").returncode == 1
    found = outcomes(tmp_path / "report.xml")
    assert found["ssrnet_float32.onnx-onnxruntime"] == {"passed": 7}
    # What a failure left unchecked is skipped, not passed.
    assert found["ssrnet_float16.tflite-litert"] == {"failure": 1, "skipped": 6}


def test_a_folder_without_a_build_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "report.xml")
    assert done.returncode == 2
    assert "agecompact export --all" in done.stdout
