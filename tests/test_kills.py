"""Verbs that are killed at any moment leave whole outputs, no process and no scratch."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from agecompact.artifacts import golden, manifest
from agecompact.bench import store
from agecompact.files import sha256_of
from agecompact.scratch import PREFIX
from tests.support import CopyBuild, alive, wait_for

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
ONNX = "ssrnet_float32.onnx"
MARK = "AGECOMPACT_TEST_OF_KILLS"
# How long an orphan may live.
PATIENCE_S = 5.0
# One for each verb. AGECOMPACT_KILLS replaces it; 40 take five minutes.
_KILLS = 4


@dataclass
class Victim:
    """A build of one ONNX file, on which verbs run and are killed."""

    out: Path
    temporary: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def folder(self) -> Path:
        return self.out / "ssrnet"

    @property
    def verbs(self) -> Mapping[str, tuple[str, ...]]:
        weights = str(self.out.parent / "mine.safetensors")
        return {
            "export": ("export", "--weights", weights, "--format", "onnx", "--out", str(self.out)),
            "parity": ("parity", str(self.out), "--no-search"),
            "freeze": ("parity", "freeze", str(self.out)),
            "bench": ("bench", str(self.out), "--rounds", "2"),
        }

    def start(self, verb: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "agecompact", *self.verbs[verb]],
            cwd=self.out.parent,
            env={**os.environ, "TMPDIR": str(self.temporary), MARK: self.mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def processes(self) -> list[psutil.Process]:
        """All processes that were started for it, whoever is their parent by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return alive(found)

    def kill(self, verb: str, number: signal.Signals, after_s: float) -> int:
        """Runs a verb, sends it a signal, and checks what is left; returns its exit code."""
        with self.start(verb) as process:
            time.sleep(after_s)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert b"Traceback" not in errors, errors.decode()
        wait_for(lambda: not self.processes(), f"the processes of {verb} to end", PATIENCE_S)
        self.assert_whole()
        return process.returncode

    def assert_whole(self) -> None:
        """Every output parses and has its hash, and the build itself is never absent."""
        build = manifest.read_builds(self.folder)[0]
        files = {entry.file: entry.sha256 for entry in build.manifest.artifacts}
        assert ONNX in files
        for file, sha256 in {**files, build.weights.name: build.manifest.weights_sha256}.items():
            assert sha256_of(self.folder / file) == sha256
        golden.read_if_there(self.folder / golden.FOLDER)
        if (self.out / store.FILE_NAME).exists():
            store.read(self.out / store.FILE_NAME)
        if (self.out / "parity.json").exists():
            assert json.loads((self.out / "parity.json").read_text())["results"]

    def leftovers(self) -> list[Path]:
        return [*self.out.rglob(f"{PREFIX}*"), *self.temporary.iterdir()]


@pytest.fixture
def victim(copy_build: CopyBuild, tmp_path: Path) -> Victim:
    build = copy_build("ssrnet", ".onnx")
    for entry in manifest.read_builds(build.folder)[0].manifest.artifacts:
        assert entry.file == ONNX
    for path in build.folder.glob("ssrnet_*"):
        if path.name != ONNX:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copyfile(build.weights, build.folder.parent.parent / "mine.safetensors")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return Victim(build.folder.parent, temporary)


def conventional(number: signal.Signals) -> tuple[int, ...]:
    """Exit codes of a process that a signal ends, before or after it handles that; or success."""
    return (-number, 128 + number, 0)


@pytest.mark.parametrize(
    ("verb", "number"), [("export", signal.SIGKILL), ("freeze", signal.SIGHUP)]
)
def test_a_killed_verb_leaves_whole_outputs_and_no_process(
    victim: Victim, verb: str, number: signal.Signals
) -> None:
    with victim.start(verb) as process:
        # Not a fixed time: on a busy machine the imports alone take many seconds. A worker and its
        # watcher, so that the folder is complete as well.
        wait_for(lambda: len(victim.processes()) > 2, "its work to begin")
        process.send_signal(number)
        process.communicate(timeout=60)
    caught = number != signal.SIGKILL
    assert process.returncode == (128 + number if caught else -number)
    wait_for(lambda: not victim.processes(), "its processes to end", PATIENCE_S)
    victim.assert_whole()
    assert bool(victim.leftovers()) != caught
    manifest.read_builds(victim.out)
    assert [path for path in victim.leftovers() if path.is_relative_to(victim.out)] == []


@pytest.mark.slow
def test_kills_at_random_moments(victim: Victim) -> None:
    kills = int(os.environ.get("AGECOMPACT_KILLS", _KILLS))
    randomly = random.Random(11)
    lasted = {}
    for verb in victim.verbs:
        started = time.monotonic()
        with victim.start(verb) as process:
            _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors.decode()
        lasted[verb] = time.monotonic() - started
    ended: dict[str, int] = dict.fromkeys(map(str, (*SIGNALS, "finished")), 0)
    for _ in range(kills // len(victim.verbs)):
        for verb, number in zip(victim.verbs, randomly.sample(SIGNALS, 4), strict=True):
            code = victim.kill(verb, number, randomly.uniform(0, lasted[verb]))
            assert code in conventional(number), (verb, number)
            ended["finished" if code == 0 else str(number)] += 1
    print(f"{kills} kills: {ended}, whole runs took {lasted} s")
    assert ended["finished"] < kills / 2
    for verb in victim.verbs:
        with victim.start(verb) as process:
            _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors.decode()
    assert victim.leftovers() == []
