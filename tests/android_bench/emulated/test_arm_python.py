"""A Python for ARM: what it is made of, and what parity says without it."""

from __future__ import annotations

import os
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from agecompact.errors import BackendMissingError
from agecompact.formats import RUNTIMES
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from android_bench.emulated import arm_python, debian, make_bundle, make_python
from android_bench.emulated.bundle import Bundle, BundleIndex
from parity_tests.check import check_builds
from parity_tests.settings import CheckSettings
from tests.support import CopyBuild

ARM = [name for name, runtime in RUNTIMES.items() if runtime.launcher]


@pytest.fixture
def emulator(tmp_path: Path) -> Bundle:
    index = BundleIndex(litert="1", compiler="gcc", guest_sha256="0" * 64, plugin_sha256="0" * 64)
    return Bundle(tmp_path / "bundle", index)


def test_it_is_of_the_runtimes_that_are_installed_here() -> None:
    assert {"litert-arm", "ort-arm"} < set(ARM)
    wheels = arm_python.wheels()
    for distribution in ("ai-edge-litert", "onnxruntime", "numpy"):
        assert wheels[distribution] == version(distribution)


def test_another_version_of_a_runtime_needs_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = arm_python.python_folder(tmp_path)
    assert arm_python.python_folder(tmp_path) == before
    changed = {**arm_python.wheels(), "onnxruntime": "0.1"}
    monkeypatch.setattr(arm_python, "wheels", lambda: changed)
    assert arm_python.python_folder(tmp_path) != before


def test_its_own_packages_hide_those_of_this_python(tmp_path: Path, emulator: Bundle) -> None:
    launcher = arm_python.launcher_in(tmp_path, emulator)
    assert launcher.command[0] == str(emulator.qemu)
    assert launcher.module("json")[-3:] == ["-P", "-m", "json"]
    packages = launcher.environment["PYTHONPATH"].split(os.pathsep)
    assert packages[0] == str(tmp_path / "site")
    assert packages[-1] == sysconfig.get_path("purelib")


@pytest.mark.parametrize("runtime", ARM)
def test_without_it_a_row_says_what_makes_it(
    runtime: str, copy_build: CopyBuild, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(RuntimeFailure, match="the Python for ARM is missing") as refused:
        RuntimeProcess(tmp_path / "a.onnx", RUNTIMES[runtime])
    assert refused.value.kind == "missing"
    assert refused.value.fix == "python -m android_bench.emulated.make_python"
    build = copy_build("ssrnet", ".onnx", ".tflite")
    results = check_builds([build], CheckSettings(budget=None, runtimes=(runtime,)))
    assert all(each.status == "skipped" for each in results)
    assert all("the Python for ARM is missing" in each.reason for each in results)
    assert bool(results) == (runtime in ("litert-arm", "ort-arm"))


def test_an_interrupted_build_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator: Bundle
) -> None:
    def build(into: Path, *_: object) -> None:
        (into / "root").mkdir(parents=True)
        raise BackendMissingError("no network")

    monkeypatch.setattr(make_bundle, "ensure", lambda *_: emulator)
    monkeypatch.setattr(make_python, "build", build)
    with pytest.raises(BackendMissingError, match="no network"):
        make_python.ensure(tmp_path)
    assert not list(tmp_path.rglob("root"))


def test_one_that_does_not_run_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator: Bundle
) -> None:
    emulator.qemu.parent.mkdir(parents=True)
    emulator.qemu.write_text("#!/bin/sh\necho no such instruction >&2\nexit 4\n")
    emulator.qemu.chmod(0o755)
    monkeypatch.setattr(make_bundle, "ensure", lambda *_: emulator)
    monkeypatch.setattr(make_python, "build", lambda into, *_: into.mkdir())
    with pytest.raises(BackendMissingError, match="does not run") as refused:
        make_python.ensure(tmp_path)
    assert "no such instruction" in refused.value.why
    assert not arm_python.python_folder(tmp_path).exists()


def test_packages_of_another_architecture_are_asked_for_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    apt = debian.Apt(tmp_path, "arm64")
    apt.use_own_lists()
    with pytest.raises(BackendMissingError, match="wrote no file"):
        apt.download(("libc6",), tmp_path / "packages")
    update, download = (tmp_path / "calls").read_text().splitlines()
    for call in (update, download):
        assert "APT::Architecture=arm64" in call
        # As on a machine without any package.
        assert "Dir::State::status=/var/lib/dpkg/status" not in call
