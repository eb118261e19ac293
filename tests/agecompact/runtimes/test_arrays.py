"""The arrays that a worker writes are foreign as well: a broken archive is a typed failure."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from agecompact.runtimes.launching import Launcher
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess

# Runs in place of the worker: `target` is the file that it was to write.
PRELUDE = """
import json, os, sys
import numpy as np
request = json.loads(sys.stdin.readline())
target = request.get("outputs") or request["values"]
def reply(result):
    os.write(1, (json.dumps({"result": result}) + "\\n").encode())
def whole():
    np.savez(target + ".whole.npz", **{"0": np.zeros(1000, np.float32)})
    return open(target + ".whole.npz", "rb").read()
"""
RAN = "reply({'outputs': ['age'], 'model_ms': 1.0})"
STEP = "{'op': 'Conv', 'output': 'a', 'inputs': ['face'], 'scope': '', 'constants': 2}"
FACE = {"face": np.zeros((1, 1, 3, 4, 4), np.float32)}

BROKEN = {
    "no file": "",
    "text": "open(target, 'w').write('arrays')",
    "an empty file": "open(target, 'w')",
    "cut short": "open(target, 'wb').write(whole()[:500])",
    "a damaged entry": "open(target, 'wb').write(whole().replace(b'NUMPY', b'NUMPX'))",
    "a huge shape": "open(target, 'wb').write(whole().replace(b'(1000,)', b'(9e99,)'))",
    "objects": "np.savez(target, **{'0': np.array([{}], object)})",
    "another name": "np.savez(target, age=np.zeros(1))",
}


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RuntimeProcess:
    """A process whose worker runs the test's code."""
    command = [sys.executable, "-c", PRELUDE + request.param]
    monkeypatch.setattr(Launcher, "module", lambda *_: command)
    return RuntimeProcess(Path("a.onnx"), timeout_s=30)


@pytest.mark.parametrize(
    "process", [f"{code}\n{RAN}" for code in BROKEN.values()], indirect=True, ids=list(BROKEN)
)
def test_a_broken_file_of_outputs_is_a_crash(process: RuntimeProcess) -> None:
    with process, pytest.raises(RuntimeFailure, match="its arrays cannot be read") as failure:
        process.infer(FACE)
    assert failure.value.kind == "crash"


@pytest.mark.parametrize(
    "process", [f"open(target, 'wb').write(whole())\nreply([{STEP}])"], indirect=True
)
def test_a_trace_without_its_constants_is_a_crash(process: RuntimeProcess) -> None:
    with process, pytest.raises(RuntimeFailure, match="its arrays cannot be read"):
        process.trace(FACE)


@pytest.mark.parametrize("process", [f"open(target, 'wb').write(whole())\n{RAN}"], indirect=True)
def test_a_whole_file_gives_the_outputs(process: RuntimeProcess) -> None:
    with process:
        assert process.infer(FACE)["age"].shape == (1000,)
