"""Child processes that end with this one: workers, converters and external programs."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agecompact import lifeline

# The pipes of a killed group close at once, unless a program has left the group.
_REAP_S = 5.0


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
    found = shutil.which(program, path=(os.environ if env is None else env).get("PATH"))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    read_end, write_end = os.pipe()
    try:
        try:
            process: subprocess.Popen[Any] = subprocess.Popen(
                [sys.executable, "-I", "-S", lifeline.__file__, str(read_end)]
                + [str(Path(found).absolute()), *arguments],
                pass_fds=(read_end,),
                start_new_session=True,
                env=env,
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
        subprocess.TimeoutExpired: It took longer; `stdout` and `stderr` are what it had printed.
        OSError: The program does not exist or cannot be run.
    """
    streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with child(
        command, stdin=subprocess.DEVNULL, text=True, errors="replace", **streams, **options
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as expired:
            kill(process)
            with suppress(subprocess.TimeoutExpired):
                expired.stdout, expired.stderr = process.communicate(timeout=_REAP_S)
            raise
    return subprocess.CompletedProcess(list(map(str, command)), process.returncode, stdout, stderr)
