"""What a worker process sends is foreign: whatever it is, it is a reply or a typed failure."""

from __future__ import annotations

import sys
import time

import pytest

from agecompact.runtimes import channel
from agecompact.runtimes.channel import Channel, RuntimeFailure
from agecompact.runtimes.launching import Launcher

# Runs in place of the worker; `reply` writes to the pipe of replies.
PRELUDE = """
import json, os, sys, time
def reply(text):
    os.write(1, text.encode())
sys.stdin.readline()
"""
TIMEOUT_S = 5.0


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Replaces the worker by the test's code."""
    command = [sys.executable, "-c", PRELUDE + request.param]
    monkeypatch.setattr(Launcher, "module", lambda *_: command)


def failure_of(timeout_s: float = TIMEOUT_S) -> tuple[RuntimeFailure, Channel]:
    with Channel(timeout_s=timeout_s) as opened:
        with pytest.raises(RuntimeFailure) as caught:
            opened.request(float, "prepare", path="a.onnx")
        deadline = time.monotonic() + TIMEOUT_S
        while opened._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert opened._process.poll() is not None, "the worker still runs"
    return caught.value, opened


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ("reply('loading the model...\\n')", "is not JSON"),
        ("reply('[' * 100_000 + '\\n')", "is not JSON"),
        ("reply('[]\\n')", "is not an object"),
        ('reply(\'{"result": "fast"}\\n\'); time.sleep(60)', "'fast' is not a number"),
        ("reply('{\"result\": NaN}\\n'); time.sleep(60)", "NaN is not a finite number"),
        ('reply(\'{"result": 1.0, "also": 2}\\n\'); time.sleep(60)', "unknown fields: also"),
        ('reply(\'{"failure": {"kind": "bad", "what": ""}}\\n\')', "'bad' is none of"),
        ("reply('{\"result\": 1.0}\\n' * 2)", "is not JSON"),
        ("os.write(1, b'\\xff\\xfe\\n')", "is not JSON"),
        ("reply('{\"resu'); os._exit(3)", "exit code 3"),
        ("os.close(1); sys.stderr.write('broken kernel\\n'); os._exit(4)", "broken kernel"),
        ("sys.stderr.write('x' * 10_000_000); os.abort()", "SIGABRT"),
        ("os.write(2, b'\\xff\\n'); os._exit(5)", "exit code 5"),
    ],
    indirect=["worker"],
)
def test_what_is_not_a_reply_is_a_crash(reason: str) -> None:
    failure, _ = failure_of()
    assert failure.kind == "crash"
    assert reason in failure.reason
    assert len(failure.reason) < 10_000


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "worker", ["while True: reply('x' * 65536)"], indirect=True, ids=["endless line"]
)
def test_a_reply_without_end_is_a_crash() -> None:
    failure, _ = failure_of()
    assert (failure.kind, "longer than" in failure.reason) == ("crash", True)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("worker", ["os.close(1); time.sleep(60)"], indirect=True)
def test_a_worker_that_closes_its_output_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_GRACE_S", 0.2)
    started = time.monotonic()
    failure, _ = failure_of()
    assert (failure.kind, "closed its output" in failure.reason) == ("crash", True)
    assert time.monotonic() - started < TIMEOUT_S


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "worker",
    [
        "time.sleep(60)",
        "reply('{\"resu'); time.sleep(60)",
        "for _ in range(600): reply('x'); time.sleep(0.1)",
    ],
    indirect=True,
    ids=["nothing", "half", "a letter at a time"],
)
def test_a_reply_that_does_not_come_or_end_is_a_timeout() -> None:
    started = time.monotonic()
    failure, _ = failure_of(timeout_s=0.5)
    assert failure.kind == "timeout"
    assert time.monotonic() - started < TIMEOUT_S


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "worker", ['reply(\'{"result": 1, "failure": null}\\n\'); time.sleep(60)'], indirect=True
)
def test_a_reply_is_the_typed_result() -> None:
    with Channel(timeout_s=TIMEOUT_S) as opened:
        assert opened.request(float, "prepare") == 1.0
