"""A phone for the whole run, builds for it, and a fake adb.

If the phone cannot be set up, its tests are skipped with the reason; `AGECOMPACT_REQUIRE_ADB=1`
makes them fail instead, for CI.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build
from agecompact.errors import BackendMissingError
from android_bench.emulated import bundle
from tests.android_bench.adb import packages
from tests.android_bench.adb.fakes import FolderAdb
from tests.android_bench.adb.phone import Phone
from tests.golden_pack import write_noise_pack
from tests.support import CopyBuild

_REQUIRED = os.environ.get("AGECOMPACT_REQUIRE_ADB") == "1"


@pytest.fixture
def folder_adb(tmp_path: Path) -> FolderAdb:
    folder = tmp_path / "folder-adb"
    folder.mkdir()
    return FolderAdb(folder)


@pytest.fixture(scope="session")
def running() -> Iterator[Phone]:
    try:
        phone = Phone(packages.fetch(), bundle.load())
        phone.__enter__()
    except BackendMissingError as error:
        if _REQUIRED:
            raise
        pytest.skip(f"no adbd on loopback: {error.what}: {error.why}")
    yield phone
    phone.__exit__(None, None, None)


@pytest.fixture
def phone(running: Phone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    monkeypatch.setenv("ADB", str(running.adb))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    running.launch_with()
    running.set_thermal_status(0)
    for mark in ("started", "ran", "once"):
        (running.device / mark).unlink(missing_ok=True)
    running.plug_in()
    yield running
    running.plug_in()
    # Nothing is left on the device, whatever failed.
    assert running.run("shell", "ls -A /data/local/tmp").stdout == ""


@pytest.fixture
def build(copy_build: CopyBuild) -> Build:
    copied = copy_build("ssrnet", ".tflite")
    write_noise_pack(copied, 2, {"ssrnet_float32.tflite": 1e-3, "ssrnet_float16.tflite": 1e-9})
    return copied


@pytest.fixture
def small(copy_build: CopyBuild) -> Build:
    """A build with one TFLite file."""
    copied = copy_build("ssrnet", "float32.tflite")
    write_noise_pack(copied, 2)
    return copied
