"""`pytest parity_tests --build DIR`, as a user of another project would run it."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from tests.support import REPOSITORY, CopyBuild


def run(build: Path, report: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "parity_tests",
            f"--build={build}",
            f"--junitxml={report}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def endings(report: Path) -> dict[str, Counter[str]]:
    """By artefact and runtime, how many tests ended how."""
    told: dict[str, Counter[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        state = next((child.tag for child in case if child.tag in ("failure", "skipped")), "passed")
        key = case.attrib["name"].partition("[")[2].rstrip("]")
        told.setdefault(key, Counter())[state] += 1
    return told


def test_one_test_an_artefact_a_runtime_and_a_property(
    copy_build: CopyBuild, tmp_path: Path
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float16.tflite")
    harmed = build.folder / "ssrnet_float16.tflite"
    harmed.write_bytes(harmed.read_bytes()[:5000])
    assert run(build.folder, tmp_path / "report.xml").returncode == 1
    told = endings(tmp_path / "report.xml")
    assert told["ssrnet_float32.onnx-onnxruntime"] == {"passed": 7}
    # What a failure keeps from being looked at is skipped, not passed.
    assert told["ssrnet_float16.tflite-litert"] == {"failure": 1, "skipped": 6}


def test_a_folder_without_a_build_is_told_as_such(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "report.xml")
    assert done.returncode == 2
    assert "agecompact export --all" in done.stdout
