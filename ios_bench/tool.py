"""External programs, run with a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# The pipes of a killed process group close at once, unless a child has left the group.
_REAP_S = 5.0


@dataclass(frozen=True)
class Completed:
    """Result of a program.

    Attributes:
        returncode: Its exit code; the negated number of the signal that ended it.
        stdout: Its standard output.
        stderr: Its standard error.
        timed_out: Whether it was killed at the time limit.
    """

    returncode: int
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False

    @property
    def message(self) -> str:
        """Its error with the cause, else its last line, else how it ended."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines()]
        errors = [
            line.partition(":")[2].strip()
            for line in lines
            if line.lower().startswith(("error:", "why:"))
        ]
        text = ": ".join(errors[:2]) or next((line for line in reversed(lines) if line), "")
        if self.returncode < 0:
            text = f"ended by {_signal_name(-self.returncode)}" + (f": {text}" if text else "")
        return text or f"exit code {self.returncode}, and no message"


Run = Callable[[Sequence[str], float], Completed]


def run(command: Sequence[str], timeout_s: float) -> Completed:
    """Runs a program in its own process group, which is killed with it.

    Args:
        command: Program and arguments.
        timeout_s: Time limit, after which the whole group is killed.

    Raises:
        OSError: The program cannot be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
        return Completed(process.returncode, stdout, stderr)
    except subprocess.TimeoutExpired:
        return Completed(-signal.SIGKILL, *_kill(process), timed_out=True)
    except BaseException:
        _kill(process)
        raise


def _kill(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Kills the group and returns what it had printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=_REAP_S)
    except subprocess.TimeoutExpired:
        return "", ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
