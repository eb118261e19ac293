"""A bad artefact is a failed row; the others are checked, and an interrupt ends everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agecompact.artifacts.manifest import Build
from parity_tests.check import candidates, check_builds
from parity_tests.reference import Reference
from parity_tests.settings import CheckSettings
from parity_tests.verdict import check
from tests import hostile
from tests.support import Agecompact, BuildOf, CopyBuild

SETTINGS = CheckSettings(budget=None, localise="never")
ENDS_WITHIN_S = 10.0


def as_text(path: Path) -> None:
    path.write_text("no model")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    aside = path.parent.parent / "aside.tflite"
    path.rename(aside)
    path.symlink_to(aside)


def edited(change: hostile.Change) -> Callable[[Path], None]:
    return lambda path: hostile.edit_tflite(path, change)


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "text": (as_text, "load", "is not a TFLite file"),
    "missing": (Path.unlink, "load", "is missing"),
    "a pipe": (as_pipe, "load", "is a pipe"),
    "a link": (as_link, "load", "is a link"),
    "metadata that is not UTF-8": (edited(hostile.with_metadata(b"\xff")), "metadata", "0xff"),
    "deep metadata": (edited(hostile.with_metadata(b"[" * 10_000)), "metadata", "not JSON"),
    "metadata out of range": (edited(hostile.metadata_out_of_range), "metadata", "in buffer"),
}


@pytest.fixture(scope="module")
def reference(build_of: BuildOf) -> Iterator[Reference]:
    with Reference.of_build(build_of("ssrnet"), SETTINGS) as opened:
        yield opened


@pytest.mark.parametrize("case", BAD)
def test_a_bad_artefact_is_a_failed_row(
    case: str, copy_build: CopyBuild, reference: Reference
) -> None:
    pytest.importorskip("ai_edge_litert")
    build = copy_build("ssrnet", "float32.tflite")
    make, kind, reason = BAD[case]
    make(build.folder / "ssrnet_float32.tflite")
    (candidate,) = candidates(build, SETTINGS)
    (result,) = check(candidate, reference, SETTINGS)
    assert (result.status, result.kind) == ("failed", kind)
    assert reason in result.reason


def test_the_command_writes_the_row_of_a_bad_artefact(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", "float32.onnx", "float32.tflite")
    hostile.edit_tflite(build.folder / "ssrnet_float32.tflite", hostile.with_metadata(b"\xff\xfe"))
    for name in ("parity.json", "table.md"):
        (build.folder / name).write_text('{"passed": true}')
    done = agecompact(
        "parity", build.folder, "--no-search", "--markdown", build.folder / "table.md"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    report = json.loads((build.folder / "parity.json").read_text())
    assert [result["status"] for result in report["results"]] == ["passed", "failed"]
    assert "metadata" in (build.folder / "table.md").read_text()


def test_a_build_without_usable_weights_fails_and_other_builds_are_checked(
    copy_build: CopyBuild, build_of: BuildOf
) -> None:
    broken = copy_build("ssrnet", ".onnx")
    as_text(broken.weights)
    other = build_of("ssrnet")
    (entry, *_) = other.manifest.artifacts
    whole = Build(other.folder, replace(other.manifest, artifacts=(entry,)))
    bad, good = check_builds([broken, whole], SETTINGS)
    assert (bad.status, bad.kind) == ("failed", "reference")
    assert "cannot be used as a reference" in bad.reason
    assert good.status == "passed"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_an_interrupt_ends_parity_while_an_artefact_hangs(
    number: signal.Signals, copy_build: CopyBuild
) -> None:
    build = copy_build("ssrnet", "float32.onnx")
    artifact = build.folder / "ssrnet_float32.onnx"
    hostile.endless_onnx(artifact, artifact)
    command = [sys.executable, "-m", "agecompact", "parity", str(build.folder), "--no-search"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        worker = hostile.busy_worker(process.pid)
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < ENDS_WITHIN_S
    assert process.returncode > 128
    assert "Traceback" not in errors
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_an_unreadable_manifest_leaves_no_earlier_verdict(
    copy_build: CopyBuild, agecompact: Agecompact
) -> None:
    build = copy_build("ssrnet", ".onnx")
    (build.folder / "manifest.json").write_text("{")
    verdict = build.folder / "parity.json"
    verdict.write_text('{"passed": true}')
    done = agecompact("parity", build.folder)
    assert done.returncode == 2
    assert not verdict.exists()
