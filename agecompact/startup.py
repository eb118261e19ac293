"""What the shell hands to a process: its streams, signals, limits and working folder."""

from __future__ import annotations

import io
import os
import resource
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from agecompact.errors import MachineError
from agecompact.faults import has_undecoded
from agecompact.text import one_line

if TYPE_CHECKING:
    from typing_extensions import Buffer

# A worker opens its runtime's libraries, and a bench holds several workers.
_OPEN_FILES = 1024
# PyTorch, or one runtime in a worker, takes this many addresses to start and run a small network.
_MEMORY_BYTES = 1_500_000_000


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Output(io.FileIO):
    """Standard output, which remembers why it failed: an `OSError` does not say of what it is."""

    failure: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def prepare(arguments: Sequence[str]) -> None:
    """Makes the best of what was handed over.

    Args:
        arguments: The command line.

    Raises:
        MachineError: Nothing can work with it.
    """
    _handle_signals()
    _open_streams()
    _raise_limit_of_files()
    _check_limit_of_memory()
    _check_working_folder()
    for name in (*arguments, str(Path.cwd())):
        _check_encoding(name)


def _handle_signals() -> None:
    """Lets signals unwind the stack, so that no partial file and no worker remains."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # It is ignored under nohup, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise Stopped(number)


def _open_streams() -> None:
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        # What libraries print would go into the next file that is opened.
        raise MachineError("standard output is closed", fix="redirect it: > /dev/null")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(sys.stdout.fileno(), "w", closefd=False)),
        encoding=sys.stdout.encoding,
        # What the encoding lacks, or a name that is not text, must not fail the verb.
        errors="backslashreplace",
        line_buffering=bool(sys.stdout.line_buffering),
    )


def _raise_limit_of_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check_limit_of_memory() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _MEMORY_BYTES:
        # NumPy and PyTorch would end this process without an exception.
        raise MachineError(
            "not enough memory",
            why=f"this shell limits it to {limit >> 20:,} MB of addresses",
            fix="raise the limit: ulimit -v unlimited",
        )


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        folder = os.environ.get("PWD", "")
        raise MachineError(
            "the working folder no longer exists",
            why=f"{folder or 'it'}: {error.strerror}",
            fix=f"change to another: cd {shlex.quote(str(Path(folder).parent)) if folder else '/'}",
        ) from None


def _check_encoding(name: str) -> None:
    if has_undecoded(name):
        raise MachineError(
            f"{one_line(name)} is not valid UTF-8",
            why="the libraries that read models cannot open such a path",
            fix="rename that file or folder",
        )


def output_failure() -> OSError | None:
    """Why standard output could not be written; None if it could."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Output) else None


def abandon_broken_streams() -> None:
    """Discards what cannot be written, which Python would otherwise report with exit code 120."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
