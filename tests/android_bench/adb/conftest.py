"""A phone for the whole run, builds for it, and an adb that is fake.

Where the phone cannot be set up its tests are skipped with the reason. `AGECOMPACT_REQUIRE_ADB=1`
makes that a failure, for a CI that is to have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build
from agecompact.errors import BackendMissingError
from android_bench.emulated import stored
from tests.android_bench.adb import packages
from tests.android_bench.adb.fakes import FolderAdb, write_runner_pack
from tests.android_bench.adb.phone import Phone
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
        phone = Phone(packages.fetch(), stored.load())
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
    running.set_heat(0)
    running.plug_in()
    yield running
    running.plug_in()
    # Whatever went wrong, nothing stays.
    assert running.run("shell", "ls -A /data/local/tmp").stdout == ""


@pytest.fixture
def build(copy_build: CopyBuild) -> Build:
    copied = copy_build("ssrnet", ".tflite")
    write_runner_pack(copied, {"ssrnet_float32.tflite": 1e-3, "ssrnet_float16.tflite": 1e-9})
    return copied


@pytest.fixture
def small(copy_build: CopyBuild) -> Build:
    """Of one file."""
    copied = copy_build("ssrnet", "float32.tflite")
    write_runner_pack(copied)
    return copied
