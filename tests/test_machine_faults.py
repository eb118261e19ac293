"""Faults of the machine end any verb with exit code 3 and a cure, never with a traceback."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agecompact.errors import ExitCode
from tests.support import REPOSITORY, BuildOf
from tests.test_bad_input import mounted

LONG = "n" * 300
AGECOMPACT = f"{shlex.quote(sys.executable)} -m agecompact"
# Verbs that print to standard output in different ways: a table, a page of help, JSON.
PRINTING = ("list", "--help", "list --json -", "inspect {onnx}")


@pytest.fixture(scope="module")
def files(build_of: BuildOf) -> dict[str, str]:
    build = build_of("ssrnet")
    return {
        "build": shlex.quote(str(build.folder)),
        "onnx": shlex.quote(str(build.folder / "ssrnet_float32.onnx")),
    }


def shell(script: str, *prefix: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a script of a shell, with $agecompact as the command line."""
    return subprocess.run(
        [*prefix, "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "agecompact": AGECOMPACT, "PYTHONPATH": str(REPOSITORY)},
    )


def assert_cured(done: subprocess.CompletedProcess[str], what: str, cure: str) -> None:
    assert done.returncode == ExitCode.ENVIRONMENT, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    error = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert what in error[0]
    assert error[-1].startswith("fix: ")
    assert cure in error[-1]
    assert len(error) <= 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("verb", PRINTING)
def test_a_full_standard_output(verb: str, files: dict[str, str]) -> None:
    done = shell(f"$agecompact {verb.format(**files)} > /dev/full")
    assert_cured(done, "cannot write to standard output", "redirect it")
    assert "No space left on device" in done.stderr


def test_a_full_standard_error_changes_no_exit_code() -> None:
    assert shell("$agecompact nope 2> /dev/full").returncode == ExitCode.USAGE


@pytest.mark.parametrize("verb", PRINTING)
def test_a_closed_standard_output(verb: str, files: dict[str, str]) -> None:
    done = shell(f"$agecompact {verb.format(**files)} >&-")
    assert_cured(done, "standard output is closed", "> /dev/null")


def test_closed_standard_input_and_error_are_no_hindrance() -> None:
    done = shell("$agecompact list <&- 2>&-")
    assert done.returncode == 0
    assert "ssrnet" in done.stdout


@pytest.mark.parametrize("verb", PRINTING)
def test_a_reader_that_has_gone_ends_it_without_a_word(verb: str, files: dict[str, str]) -> None:
    # The reader ends at once, and only then does the verb start.
    verb = verb.format(**files)
    done = shell(f"(sleep 0.2; exec $agecompact {verb}) | true; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 128 + signal.SIGPIPE
    # With `--json -` the table is there.
    assert "error" not in done.stderr.lower()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["list", "inspect {onnx}", "report {build}"])
def test_an_output_that_has_no_utf8_shows_something_else_instead(
    verb: str, files: dict[str, str]
) -> None:
    done = shell(f"LC_ALL=C PYTHONIOENCODING=ascii $agecompact {verb.format(**files)}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "ssrnet" in done.stdout


@pytest.mark.parametrize(
    "verb",
    ["report {0}", "parity {0}", "bench {0}", "verify {0}", "export ssrnet --out {0}"],
)
def test_a_name_that_is_too_long(verb: str, tmp_path: Path) -> None:
    done = shell(f"$agecompact {verb.format(LONG)}", cwd=tmp_path)
    assert_cured(done, "cannot write" if "export" in verb else "too long", "shorter name")


@pytest.mark.parametrize("verb", ["inspect {0}", "predict {0}", "export --weights {0}"])
def test_a_name_that_is_not_utf8(verb: str) -> None:
    name = r"$'\xff.onnx'"
    done = shell(f"$agecompact {verb.format(name)}")
    assert_cured(done, r"\udcff.onnx is not valid UTF-8", "rename")


def test_a_working_folder_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    done = shell(r"cd $'\xff' && $agecompact list", cwd=tmp_path)
    assert_cured(done, "is not valid UTF-8", "rename")


@pytest.mark.parametrize("verb", ["list", "export ssrnet --format onnx --out /tmp"])
def test_a_working_folder_that_was_deleted(verb: str, tmp_path: Path) -> None:
    done = shell(f"mkdir gone; cd gone; rmdir ../gone; $agecompact {verb}", cwd=tmp_path)
    assert_cured(done, "the working folder no longer exists", f"cd {tmp_path}")


@pytest.mark.parametrize("verb", ["list", "inspect {onnx}", "report {build}"])
def test_too_little_memory(verb: str, files: dict[str, str]) -> None:
    done = shell(f"ulimit -v 400000; $agecompact {verb.format(**files)}")
    assert_cured(done, "not enough memory", "ulimit -v")


def test_a_low_limit_of_open_files_is_raised() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 64
    assert shell("ulimit -S -n 6; $agecompact list").returncode == 0


def test_too_few_open_files(files: dict[str, str]) -> None:
    done = shell(f"ulimit -n 6; $agecompact parity {files['build']} --no-search")
    assert_cured(done, "too many open files", "ulimit -n")


def test_a_limit_of_file_sizes(tmp_path: Path) -> None:
    done = shell(f"ulimit -f 0; $agecompact list --json {tmp_path / 'out.json'}")
    assert_cured(done, "cannot write", "ulimit -f")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["freeze {build}", "pair --reference {onnx} --candidate {onnx}"])
def test_a_full_disk_for_temporary_files(verb: str, files: dict[str, str], tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    prefix = mounted(temporary, "size=100k")
    script = (
        f"head -c 50000 /dev/zero > {temporary}/filler; export TMPDIR={temporary}; "
        f"$agecompact parity {verb.format(**files)}; code=$?; rm {temporary}/filler; exit $code"
    )
    done = shell(script, *prefix)
    assert_cured_with_trailer(done)


def assert_cured_with_trailer(done: subprocess.CompletedProcess[str]) -> None:
    """As `assert_cured`; the prefix adds a line about what is left on the disk."""
    text, _, left = done.stderr.rpartition("left: ")
    assert left == "\n"
    done.stderr = text
    assert_cured(done, "a disk is full", "TMPDIR")


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import agecompact.console.common as common\n"
        "def screen(*_):\n    raise ValueError('a bug')\n"
        "common.screen = screen\n"
    )
    done = shell(f"PYTHONPATH={broken}:$PYTHONPATH $agecompact list")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: a bug\n")
