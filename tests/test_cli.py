"""The command line starts quickly, and its errors are clear."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from agecompact import __version__
from agecompact.cli import VERBS
from tests.support import Agecompact


def test_help_loads_no_heavy_module() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "agecompact", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert "click" in imported, "the list of imports was not read"
    heavy = "torch numpy onnx tensorflow coremltools cv2 rich cattrs"
    assert not imported & set(heavy.split())
    for name, verb in VERBS.items():
        assert f"  {name} " in done.stdout
        assert verb.summary in " ".join(done.stdout.split())


@pytest.mark.parametrize("target", [verb.target for verb in VERBS.values()])
def test_no_verb_loads_torch_before_it_needs_it(target: str) -> None:
    code = "import importlib, sys; importlib.import_module(sys.argv[1])"
    code += "; print(*{'torch', 'tensorflow', 'onnxruntime', 'coremltools'} & set(sys.modules))"
    command = [sys.executable, "-c", code, target.partition(":")[0]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


def test_help_takes_less_than_half_a_second() -> None:
    command = [sys.executable, "-m", "agecompact", "--help"]

    def cpu_seconds() -> float:
        before = os.times()
        subprocess.run(command, capture_output=True, check=True)
        after = os.times()
        user = after.children_user - before.children_user
        return user + after.children_system - before.children_system

    # CPU time, since wall time depends on the load of the machine.
    assert min(cpu_seconds() for _ in range(3)) < 0.5


def test_for_an_unknown_verb_the_nearest_is_suggested(agecompact: Agecompact) -> None:
    done = agecompact("exprot")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown verb 'exprot'\nwhy: ")
    assert "fix: did you mean 'export'?" in done.stderr


def test_an_unknown_option_is_a_usage_error(agecompact: Agecompact) -> None:
    done = agecompact("export", "--fromat", "onnx")
    assert done.returncode == 2
    assert "--format" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_prints_its_version(agecompact: Agecompact) -> None:
    assert __version__ in agecompact("--version").stdout


def test_a_closed_pipe_ends_it_without_a_word() -> None:
    command = [sys.executable, "-m", "agecompact", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    # As a program that SIGPIPE ends. Not 0: a check that was cut short has not passed.
    assert process.returncode == 128 + signal.SIGPIPE
    assert errors == b""
