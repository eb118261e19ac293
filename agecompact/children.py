"""Child processes that end with this one: workers, converters and external programs."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agecompact import lifeline

# The pipes of a killed group close at once, unless a program has left the group.
_REAP_S = 5.0
_CHECK_S = 0.5


class TimedOut(Exception):  # noqa: N818 - a result to record.
    """A program took too long.

    Attributes:
        stdout: What it had printed to its standard output.
        stderr: What it had printed to its standard error.
    """

    def __init__(self, stdout: str, stderr: str) -> None:
        super().__init__(stdout, stderr)
        self.stdout = stdout
        self.stderr = stderr


@contextmanager
def child(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[Any]]:
    """Starts a program in a session of its own.

    At the end of the block the program and everything that it has started are killed. The same
    happens when this process dies, even by SIGKILL.

    Args:
        command: Program and arguments.
        env: Environment of the program; by default this process's.
        **options: Other arguments of `subprocess.Popen`.

    Raises:
        OSError: The program does not exist or cannot be run.
    """
    program, *arguments = map(str, command)
    environment = dict(os.environ if env is None else env)
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    read_end, write_end = os.pipe()
    launcher = [sys.executable, "-I", "-S", lifeline.__file__, str(read_end)]
    launcher += [f"{name}={value}" for name, value in environment.items() if _is_ours(name)]
    try:
        try:
            process = subprocess.Popen(
                [*launcher, "--", str(Path(found).absolute()), *arguments],
                pass_fds=(read_end,),
                start_new_session=True,
                env={
                    **{name: value for name, value in environment.items() if not _is_ours(name)},
                    **{name: value for name, value in os.environ.items() if _is_ours(name)},
                },
                **options,
            )
        finally:
            os.close(read_end)
        try:
            yield process
        finally:
            kill(process)
            _close(process)
    finally:
        os.close(write_end)


def _is_ours(name: str) -> bool:
    return name.startswith(lifeline.OURS)


def kill(process: subprocess.Popen[Any]) -> None:
    """Kills a program started by `child`, with everything that it has started."""
    # While the watcher is in the group, its number belongs to no other.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(process: subprocess.Popen[Any]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            # What was not written yet has no reader any more.
            with suppress(OSError):
                stream.close()


def run(
    command: Sequence[str | Path], *, timeout_s: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a program as `child` does, without input, and collects its output.

    Args:
        command: Program and arguments.
        timeout_s: Time limit.
        **options: As in `child`.

    Returns:
        Its exit code and output. Bytes that are not UTF-8 are replaced.

    Raises:
        TimedOut: It took longer, and was killed.
        OSError: The program does not exist or cannot be run.
    """
    with child(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        **options,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill(process)
            try:
                printed = process.communicate(timeout=_REAP_S)
            except subprocess.TimeoutExpired:
                printed = "", ""
            raise TimedOut(*printed) from None
    return subprocess.CompletedProcess(list(map(str, command)), process.returncode, stdout, stderr)


def end_with_parent(_: int) -> None:
    """Ends this process, a data loader's worker, soon after its parent has died.

    PyTorch's own check takes five seconds.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
