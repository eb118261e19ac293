"""Files and folders are whole or absent, whoever else writes them and whenever a writer dies."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from agecompact import exchange, files, scratch
from agecompact.errors import OutputError, UsageError
from tests.support import REPOSITORY

PARTS = 5
# Writes a folder again and again; each of its files holds the same text.
WRITER = """
import itertools, os, sys
from pathlib import Path
from agecompact.files import atomic_path
count = int(sys.argv[2])
for number in itertools.islice(itertools.count(), count or None):
    with atomic_path(Path(sys.argv[1])) as temporary:
        temporary.mkdir()
        for part in range(5):
            (temporary / str(part)).write_text(f"{os.getpid()} {number}")
"""
COUNTER = """
import json, sys
from pathlib import Path
from agecompact.files import updated_path
path = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with updated_path(path) as temporary:
        count = json.loads(path.read_text()) if path.exists() else 0
        temporary.write_text(json.dumps(count + 1))
"""
UNSUPPORTED = """
import errno
from agecompact import exchange
def unsupported(one, other):
    raise OSError(errno.EINVAL, "unsupported")
exchange.swap = unsupported
"""


@contextmanager
def started(script: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        try:
            yield process
        finally:
            process.kill()


def content(folder: Path) -> str:
    """The text of all files of a folder; they must agree."""
    # Held open, the folder is one and the same even if its path is replaced meanwhile.
    handle = os.open(folder, os.O_RDONLY)
    try:
        texts = set()
        for part in range(PARTS):
            with open(os.open(str(part), os.O_RDONLY, dir_fd=handle)) as stream:  # noqa: PTH123
                texts.add(stream.read())
    finally:
        os.close(handle)
    assert len(texts) == 1, f"a mixed folder: {texts}"
    return texts.pop()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(f"{scratch.PREFIX}*")]


def test_writers_at_once_lose_nothing_and_a_reader_always_finds_a_whole_folder(
    tmp_path: Path,
) -> None:
    path = tmp_path / "build"
    with started(WRITER, path, 1) as first:
        assert first.wait() == 0
    found = set()
    with started(WRITER, path, 300) as one, started(WRITER, path, 300) as other:
        while one.poll() is None or other.poll() is None:
            # The old folder's files may be deleted while they are read, but the path stays.
            assert path.is_dir(), "absent"
            try:
                found.add(content(path))
            except FileNotFoundError:
                continue
        assert (one.returncode, other.returncode) == (0, 0)
        assert content(path) in {f"{one.pid} 299", f"{other.pid} 299"}
    assert len(found) > 3
    assert leftovers(tmp_path) == []


def test_without_exchange_writers_at_once_lose_nothing_either(tmp_path: Path) -> None:
    path = tmp_path / "build"
    script = UNSUPPORTED + WRITER
    with started(script, path, 200) as one, started(script, path, 200) as other:
        assert (one.wait(), other.wait()) == (0, 0)
        assert content(path) in {f"{one.pid} 199", f"{other.pid} 199"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("supported", [True, False])
def test_killed_writers_leave_a_whole_folder_and_their_scratch_is_swept(
    tmp_path: Path, supported: bool
) -> None:
    path = tmp_path / "build"
    randomly = random.Random(0)
    script = WRITER if supported else UNSUPPORTED + WRITER
    killed = littered = 0
    # At least one kill must hit a writer that has scratch.
    while killed < 8 or (not littered and killed < 80):
        killed += 1
        with started(script, path, 0) as writer:
            deadline = time.monotonic() + 60
            while not path.is_dir() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1 + randomly.uniform(0, 0.02))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        littered += bool(leftovers(tmp_path))
        if supported:
            content(path)
        scratch.sweep(tmp_path)
        content(path)
        assert leftovers(tmp_path) == []
    assert littered


def test_a_folder_that_was_moved_aside_is_restored(tmp_path: Path) -> None:
    """As where folders cannot be exchanged, and the writer dies between its two moves."""
    path = tmp_path / "build"
    with started(WRITER, path, 1) as first:
        first.wait()
    before = content(path)
    dying = (
        "real = exchange._moved\n"
        "def moved(new, path):\n"
        "    path.exists() or os._exit(9)\n"
        "    return real(new, path)\n"
        "exchange._moved = moved\n"
    )
    with started(f"{UNSUPPORTED}\nimport os\n{dying}{WRITER}", path, 1) as writer:
        assert writer.wait() == 9
    assert not path.exists()
    scratch.sweep(tmp_path)
    assert content(path) == before
    assert leftovers(tmp_path) == []


def test_changes_by_several_processes_add_up(tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    with started(COUNTER, path, 60) as one, started(COUNTER, path, 60) as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert json.loads(path.read_text()) == 120


def test_a_claimed_folder_is_refused_to_others_until_its_owner_ends(tmp_path: Path) -> None:
    out = tmp_path / "run"
    script = (
        "import pathlib, sys, time; from agecompact.files import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])):\n    print(flush=True)\n    time.sleep(30)\n"
    )
    command = [sys.executable, "-c", script, str(out)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        with pytest.raises(UsageError, match="another process writes into"), files.claimed(out):
            pass
        owner.kill()
    with files.claimed(out):
        (out / "best").touch()
    assert [path.name for path in out.iterdir()] == ["best"]


def test_scratch_of_a_living_process_is_not_swept(tmp_path: Path) -> None:
    with scratch.scratch_folder(tmp_path) as mine:
        (mine / "file").write_text("mine")
        command = "import pathlib, sys; from agecompact import scratch; "
        command += "scratch.sweep(pathlib.Path(sys.argv[1]))"
        with started(command, tmp_path) as other:
            assert other.wait() == 0
        scratch.sweep(tmp_path)
        assert (mine / "file").read_text() == "mine"
    assert leftovers(tmp_path) == []


def test_only_scratch_is_swept(tmp_path: Path) -> None:
    mine = tmp_path / f"{scratch.PREFIX}notes"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".agecompact-lock").touch()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    scratch.sweep(tmp_path)
    assert (mine / "thesis.tex").exists()
    assert (elsewhere / ".agecompact-lock").exists()


def test_a_sweep_that_was_cut_short_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f"{scratch.PREFIX}12345678"
    (left / "sub").mkdir(parents=True)
    (left / "sub" / "file").touch()
    (left / ".agecompact-lock").touch()
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        scratch.sweep(tmp_path)
    assert left.is_dir()
    scratch.sweep(tmp_path)
    assert not left.exists()


def test_makers_and_sweepers_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            scratch.sweep(tmp_path)

    def make(number: int) -> None:
        for _ in range(50):
            with scratch.scratch_folder(tmp_path) as folder:
                (folder / "file").write_text(str(number))
                assert (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor() as pool:
        sweeping = [pool.submit(sweep) for _ in range(2)]
        try:
            list(pool.map(make, range(3)))
        finally:
            stop.set()
        for each in sweeping:
            each.result()
    assert leftovers(tmp_path) == []


def test_two_folders_are_exchanged_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange.swap(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "other").exists()
    assert (tmp_path / "other" / "one").exists()
    with pytest.raises(FileNotFoundError):
        exchange.swap(tmp_path / "one", tmp_path / "absent")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "that you can write to"),
    ],
)
def test_an_output_that_fails_has_its_cure(tmp_path: Path, number: int, cure: str) -> None:
    with pytest.raises(OutputError) as raised, files.atomic_path(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert raised.value.why == os.strerror(number)
    assert cure in raised.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_not_the_fault_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), files.atomic_path(tmp_path / "file"):
        raise BrokenPipeError(errno.EPIPE, "standard output's")


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", os.fsdecode(b"\xff.jpg"))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "\\udcff.jpg"
