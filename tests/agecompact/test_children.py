"""A program that was started ends with whoever started it, together with what it has started."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from agecompact import children
from agecompact.errors import MachineError
from agecompact.models import registry
from agecompact.training import feed
from agecompact.training.augment import Augmentation
from tests.support import REPOSITORY, alive, wait_for

# A program with a child, neither of which heeds a polite signal.
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "grandchild"])
time.sleep(60)
"""

PARENT = """
import subprocess, sys
from agecompact.children import child
with child([sys.executable, sys.argv[1]]) as process:
    process.wait()
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Path:
    path = tmp_path / "stubborn.py"
    path.write_text(STUBBORN)
    return path


def descendants(pid: int, count: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    wait_for(lambda: len(process.children(recursive=True)) >= count, "its children to start", 20)
    return process.children(recursive=True)


def test_the_end_of_the_block_ends_its_grandchildren(stubborn: Path) -> None:
    with children.child([sys.executable, str(stubborn)]) as process:
        # The watcher and the grandchild.
        family = descendants(process.pid, 2)
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not alive(family), "its processes to end", 5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_death_of_the_parent_ends_them(stubborn: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(stubborn)]
    with subprocess.Popen(command, cwd=REPOSITORY) as parent:
        family = descendants(parent.pid, 3)
        assert len(alive(family)) == 3
        parent.send_signal(number)
    wait_for(lambda: not alive(family), "its processes to end", 5)


def test_a_workers_own_end_is_seen_at_once() -> None:
    with children.child([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as process:
        # The watcher must not hold the pipe open.
        assert process.communicate(timeout=30)[0] == b""
        assert process.returncode == 0


def test_output_and_exit_code_are_the_programs() -> None:
    program = "import os, sys; sys.stderr.write('e'); print('o'); sys.stdout.flush(); os.abort()"
    done = children.run([sys.executable, "-c", program], timeout_s=60)
    assert (done.stdout, done.stderr, done.returncode) == ("o\n", "e", -signal.SIGABRT)


def test_what_a_late_program_printed_is_kept() -> None:
    program = "print('so far', flush=True); import time; time.sleep(60)"
    with pytest.raises(children.TimedOut) as late:
        children.run([sys.executable, "-c", program], timeout_s=3)
    assert late.value.stdout == "so far\n"


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program"])
def test_a_missing_program_is_an_error(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="such"):
        children.run([name], timeout_s=5)


def test_the_program_gets_exactly_its_environment() -> None:
    environment = {"A": "1", "LD_LIBRARY_PATH": "/nowhere=here", "PYTHONPATH": "/absent"}
    assert "LC_CTYPE" not in environment
    done = children.run(["/usr/bin/env"], env=environment, timeout_s=30)
    assert sorted(done.stdout.splitlines()) == [f"{k}={v}" for k, v in sorted(environment.items())]


def test_the_program_does_not_ignore_a_closed_pipe() -> None:
    # Python ignores SIGPIPE, and its children would as well.
    done = children.run(["/bin/sh", "-c", "kill -PIPE $$; echo went on"], timeout_s=30)
    assert (done.stdout, done.returncode) == ("", -signal.SIGPIPE)


def test_a_worker_of_a_data_loader_ends_soon_after_its_parent() -> None:
    program = (
        "import os, sys, time\n"
        "from agecompact.children import end_with_parent\n"
        "if os.fork():\n"
        "    time.sleep(60)\n"
        "end_with_parent(0)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) as parent:
        family = descendants(parent.pid, 1)
        parent.kill()
    wait_for(lambda: not alive(family), "the worker to end", 3)


def test_data_loaders_use_it() -> None:
    assert loader(workers=2).worker_init_fn is children.end_with_parent


def test_workers_whose_batches_do_not_fit_into_shared_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000))
    monkeypatch.setattr(feed, "_SHARED_MEMORY", Path("/tmp"))
    with pytest.raises(MachineError, match="shared memory is too small") as raised:
        loader(workers=2)
    assert raised.value.why.endswith("take 2 MB")
    assert "--workers 0" in raised.value.fix
    loader(workers=0)


def loader(workers: int) -> Any:
    plan = feed.BatchPlan(batch=8, parts=1, rank=0, processes=1, seed=0, views=0)
    views = feed.Views([], registry.get("ssrnet").contract, Augmentation(), seed=0)
    return feed.loader(views, plan, 8, 0, workers)


@pytest.mark.parametrize(
    ("forbidden", "owner"),
    [
        (
            r"subprocess\.(run|Popen|call|check_\w+)\(|os\.(system|fork|spawn\w+|popen)\(",
            "children",
        ),
        (r"TemporaryDirectory|mkdtemp|NamedTemporaryFile|mkstemp", "scratch"),
    ],
)
def test_only_one_module_starts_programs_or_makes_temporary_folders(
    forbidden: str, owner: str
) -> None:
    """Others would outlive this process."""
    users = {
        path.stem
        for stage in ("agecompact", "export", "parity_tests", "android_bench", "ios_bench")
        for path in (REPOSITORY / stage).rglob("*.py")
        if re.search(forbidden, path.read_text())
    }
    assert users - {"lifeline"} == {owner}


def test_nothing_is_left_open() -> None:
    def opened() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = opened()
    for _ in range(3):
        children.run([sys.executable, "-c", ""], timeout_s=30)
    assert opened() == before
