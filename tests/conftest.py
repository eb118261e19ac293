"""Builds of random weights, made once per run, and the command line."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agecompact import isolation
from agecompact.artifacts import manifest
from agecompact.errors import AgecompactError
from agecompact.files import user_cache
from agecompact.formats import TARGETS
from agecompact.imports import resolve
from agecompact.serialization import unstructure
from export import pipeline
from tests import reused_conversions, reused_workers
from tests.support import REPOSITORY, Agecompact, BuildOf, CopyBuild, random_weights
from tests.tiers import EXHAUSTIVE, SLOW, has

# Files whose tests take longest, longest first. They start first, so that no process of a parallel
# run is left alone with one of them at the end.
LONGEST_FILES = (
    # The first two convert the models that most files share, one each.
    "tests/parity_tests/test_interface_faults.py",
    "tests/test_bad_input.py",
    "tests/processors/test_everywhere.py",
    "tests/docs/test_commands.py",
    "tests/test_tutorial.py",
    "tests/test_action.py",
    "tests/parity_tests/localisation/test_localise.py",
    "tests/agecompact/commands/test_evaluate.py",
    "tests/own/test_own.py",
    "tests/parity_tests/test_dead_relu.py",
    "tests/parity_tests/test_fault_table.py",
    "tests/parity_tests/test_fidelity.py",
    "tests/parity_tests/test_foreign_pairs.py",
    "tests/test_outside_network.py",
    "tests/export/test_error_after_conversion.py",
    "tests/agecompact/commands/test_tune.py",
    "tests/agecompact/bench/test_host.py",
    "tests/parity_tests/test_planted_faults.py",
    "tests/parity_tests/test_benign.py",
    "tests/export/test_pipeline.py",
)


def pytest_configure() -> None:
    """Lets the programs that tests start heed interrupts.

    Whatever runs the tests may ignore signals, as a shell does for its background jobs and nohup
    for SIGHUP, and programs inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the cases of `tiers`, and puts the longest files first; others keep their order."""
    for item in items:
        if item.path.is_relative_to(REPOSITORY):
            file = item.path.relative_to(REPOSITORY).as_posix()
            for name, cases in (("slow", SLOW), ("exhaustive", EXHAUSTIVE)):
                if has(cases, file, item.name):
                    item.add_marker(name)
    places = {REPOSITORY / file: place for place, file in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole run, shared by the workers of xdist.

    If `AGECOMPACT_TEST_BUILDS` names a folder, a subfolder of it, which is kept for later runs
    until the code that makes builds changes.
    """
    if kept := os.environ.get("AGECOMPACT_TEST_BUILDS"):
        folder = Path(kept) / _digest_of_sources()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = _folder_of_run(tmp_path_factory) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def _folder_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def cache_home(shared_folder: Path) -> Iterator[None]:
    """A user's cache of the tests' own, with the tools of the emulator and of adb in it."""
    mine = shared_folder / "cache"
    own = mine / "agecompact"
    own.mkdir(parents=True, exist_ok=True)
    for tools in ("arm-bundle", "arm-python", "adb-loopback", "kotlin-tools", "web-tools"):
        if (made := user_cache() / tools).is_dir():
            with suppress(FileExistsError):
                (own / tools).symlink_to(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(mine))
        yield


@pytest.fixture(scope="session", autouse=True)
def _reused_workers() -> Iterator[None]:
    with reused_workers.reused():
        yield


@pytest.fixture(scope="session", autouse=True)
def _reused_conversions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with reused_conversions.reused(_folder_of_run(tmp_path_factory) / "conversions"):
        yield


def _digest_of_sources() -> str:
    sources = [
        REPOSITORY / "requirements.lock",
        REPOSITORY / "tests" / "support.py",
        REPOSITORY / "parity_tests" / "inputs.py",
        *sorted((REPOSITORY / "export").glob("*.py")),
        *sorted((REPOSITORY / "agecompact").glob("*.py")),
        *sorted((REPOSITORY / "agecompact").glob("artifacts/*.py")),
        *sorted((REPOSITORY / "agecompact").glob("models/*.py")),
        *sorted((REPOSITORY / "agecompact").glob("weights/*.py")),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


@pytest.fixture(scope="session")
def build_of(shared_folder: Path) -> BuildOf:
    """Converts a model once per run, in the first worker that needs it, even if it fails."""

    def build(model_id: str) -> manifest.Build:
        failure = shared_folder / f"{model_id}.failure"
        with _lock(shared_folder / f"{model_id}.lock"):
            if failure.exists():
                pytest.fail(failure.read_text(), pytrace=False)
            if not (shared_folder / model_id).exists():
                weights = random_weights(shared_folder / f"{model_id}.safetensors", model_id)
                try:
                    pipeline.export(pipeline.Request(weights, TARGETS, shared_folder))
                except AgecompactError as error:
                    # Repeating a failing conversion in every test would take an hour.
                    failure.write_text(str(error))
                    raise
        return manifest.read_builds(shared_folder / model_id)[0]

    return build


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture
def copy_build(build_of: BuildOf, tmp_path: Path) -> CopyBuild:
    """Copies a build for a test to change."""

    def copy(model_id: str, *suffixes: str) -> manifest.Build:
        build = build_of(model_id)
        folder = tmp_path / "build" / model_id
        shutil.copytree(build.folder, folder)
        kept = tuple(
            entry
            for entry in build.manifest.artifacts
            if not suffixes or entry.file.endswith(suffixes)
        )
        manifest.write(folder, replace(build.manifest, artifacts=kept))
        return manifest.read_builds(folder)[0]

    return copy


@pytest.fixture(scope="session")
def agecompact(tmp_path_factory: pytest.TempPathFactory) -> Agecompact:
    """Runs the command line in an empty folder, where no package shadows the installed one."""
    home = tmp_path_factory.mktemp("cwd")

    def run(
        *arguments: object,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdin: Path = Path(os.devnull),
    ) -> subprocess.CompletedProcess[str]:
        with stdin.open("rb") as stream:
            return subprocess.run(
                [*prefix, sys.executable, "-m", "agecompact", *map(str, arguments)],
                stdin=stream,
                capture_output=True,
                text=True,
                cwd=home,
                env={**os.environ, **(env or {})},
                timeout=300,
                check=False,
            )

    return run


@pytest.fixture(scope="session")
def tiny_utkface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 chips with file names as in UTKFace, whose brightness grows with age."""
    folder = tmp_path_factory.mktemp("utkface")
    random = np.random.default_rng(0)
    for i in range(40):
        age, gender = 10 + 20 * (i % 4), i // 4 % 2
        chip = random.integers(0, 20, (64, 64, 3)) + 2 * age
        cv2.imwrite(str(folder / f"{age}_{gender}_0_{i:017}.jpg"), chip)
    return folder


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads pickles without the start of a process, which takes seconds."""

    def call(reference: str, *arguments: Any, **_: float) -> Any:
        return json.loads(json.dumps(unstructure(resolve(reference)(*map(str, arguments)))))

    monkeypatch.setattr(isolation, "call", call)
