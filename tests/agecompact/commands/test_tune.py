"""`agecompact tune`: workers share a study, resume when killed, and never use the test part."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agecompact.commands import tune
from agecompact.console import datasets as dataset
from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.training import loop

_SEARCH = ("--search", "stages.0.rate=log:1e-4..1e-2", "--search", "augmentation.flip=true|false")


def _arguments(data: Path, out: Path, *more: object) -> list[str]:
    fixed = ("--recipe", "c3ae-plain", "--set", "batch=8", "--threads", 1, *_SEARCH)
    places = ("--data", data, "--out", out / "out", "--storage", f"sqlite:///{out / 'study.db'}")
    return [str(a) for a in (*fixed, *places, *more)]


def _tune(data: Path, out: Path, *more: object) -> Result:
    return CliRunner().invoke(tune.command, _arguments(data, out, *more))


def _worker(data: Path, out: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agecompact", "tune", *_arguments(data, out, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_search_ends_with_the_command_of_its_best_trial(
    tiny_utkface: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    splits = []
    load_chips, measure, load_split = batches.load, loop.measure, tune.load

    def spied_load(faces: Any, *more: Any, **named: Any) -> Any:
        seen.update(face.name for face in faces)
        return load_chips(faces, *more, **named)

    def spied_measure(network: Any, contract: Any, faces: Any, *more: Any, **named: Any) -> Any:
        seen.update(face.name for face in faces)
        return measure(network, contract, faces, *more, **named)

    def spied_split(*arguments: Any) -> Any:
        survey, split = load_split(*arguments)
        splits.append(split)
        return survey, split

    monkeypatch.setattr(batches, "load", spied_load)
    monkeypatch.setattr(loop, "measure", spied_measure)
    monkeypatch.setattr(tune, "load", spied_split)
    target = tmp_path / "result.json"
    result = _tune(tiny_utkface, tmp_path, "--epochs", 1, "--trials", 2, "--json", target)
    assert result.exit_code == 0, result.exception
    [split] = splits
    assert seen == {face.name for face in (*split.train, *split.val)}
    assert split.test

    record = json.loads(target.read_text())
    assert record["schema_version"] == 1
    assert (record["study"], record["direction"], record["part"]) == (
        "c3ae-plain",
        "minimize",
        "val",
    )
    assert record["counts"] == {"complete": 2}
    best = record["best"]
    assert best["value"] == min(trial["value"] for trial in record["trials"])
    words = shlex.split(best["command"])
    assert words[:4] == ["agecompact", "train", "--recipe", "c3ae-plain"]
    assert [words[i + 1] for i, w in enumerate(words) if w == "--set"] == best["overrides"]
    assert best["overrides"][:2] == ["batch=8", "epochs=1"]
    assert best["command"] in result.output

    # A finished study does not read the data again.
    monkeypatch.setattr(tune, "load", None)
    again = _tune(tiny_utkface, tmp_path, "--epochs", 1, "--trials", 2)
    assert "has 2 finished trials: nothing to do" in again.output
    assert best["command"] in again.output

    monkeypatch.setattr(tune, "load", dataset.load)
    other = _tune(tiny_utkface, tmp_path, "--epochs", 2, "--trials", 3)
    assert "searches something else" in str(other.exception)


def test_a_gender_model_is_searched_for_accuracy(tiny_utkface: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    more = ("--recipe", "ssrnet-gender", "--epochs", 1, "--trials", 1, "--json", target)
    result = _tune(tiny_utkface, tmp_path, *more)
    assert result.exit_code == 0, result.exception
    record = json.loads(target.read_text())
    assert (record["direction"], record["unit"]) == ("maximize", "accuracy")
    assert 0 <= record["best"]["value"] <= 1


@pytest.mark.slow
def test_two_workers_share_a_study(tiny_utkface: Path, tmp_path: Path) -> None:
    count = 3
    workers = [_worker(tiny_utkface, tmp_path, "--epochs", 1, "--trials", count) for _ in "ab"]
    printed = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], printed
    assert not any("Traceback" in errors for _, errors in printed)
    with sqlite3.connect(tmp_path / "study.db") as database:
        rows = database.execute("SELECT number, state FROM trials").fetchall()
    assert sorted(number for number, _ in rows) == list(range(len(rows)))
    # The other worker may have been in the middle of a trial when the last one finished.
    assert count <= len(rows) <= count + 1
    assert {state for _, state in rows} <= {"COMPLETE", "PRUNED"}


@pytest.mark.slow
def test_a_killed_workers_trial_resumes_after_its_last_epoch(
    tiny_utkface: Path, tmp_path: Path
) -> None:
    worker = _worker(tiny_utkface, tmp_path, "--epochs", 400, "--trials", 1)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("out/*/state.safetensors")):
        assert worker.poll() is None, worker.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    # As if the heartbeat had expired.
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'")
    worker = _worker(tiny_utkface, tmp_path, "--epochs", 400, "--trials", 1)
    assert worker.stdout is not None
    lines = []
    for line in worker.stdout:
        lines.append(line)
        if "resuming after epoch" in line:
            break
    # An interrupted worker queues its trial itself.
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate()
    assert "resuming after epoch" in lines[-1], errors
    assert worker.returncode == 130
    assert "Traceback" not in errors
    with sqlite3.connect(tmp_path / "study.db") as database:
        rows = database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()
    assert rows == [(0, "FAIL"), (1, "FAIL"), (2, "WAITING")]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_trial_with_nan_is_reported_with_its_reason(tiny_utkface: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    more = ("--search", "clip_norm=1e30|1e31", "--search", "stages.0.weight_decay=1e30..1e31")
    result = _tune(tiny_utkface, tmp_path, "--epochs", 2, "--trials", 2, "--json", target, *more)
    assert isinstance(result.exception, UsageError)
    assert "finished" in result.exception.what
    record = json.loads(target.read_text())
    assert record["best"] is None
    assert record["counts"] == {"pruned": 2}
    for trial in record["trials"]:
        assert "became" in trial["reason"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--search", "nosuch=1..2"), "cannot read recipe"),
        (("--search", "loss=l1|nosuch"), "cannot read recipe"),
        (("--search", "batch=int:8..16"), "'batch' is both searched and set"),
        (("--storage", "postgresql+nosuch://me:hunter2@host/name"), "cannot open the storage"),
    ],
)
def test_a_wrong_search_is_refused_before_the_data_is_read(
    more: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    result = _tune(tmp_path / "absent", tmp_path, "--trials", 1, *more)
    assert isinstance(result.exception, UsageError)
    assert what in result.exception.what
    assert "hunter2" not in str(result.exception) + result.output


def test_under_torchrun_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = _tune(tmp_path, tmp_path, "--trials", 1)
    assert "without torchrun" in str(result.exception)
