"""Programs of others, run with a limit in time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# After the group was killed, its pipes close at once unless a child left the group.
_REAP_S = 5.0


@dataclass(frozen=True)
class Completed:
    """What a program left behind.

    Attributes:
        returncode: Its exit code; a signal's number, negated, where one ended it.
        stdout: What it printed, up to its end.
        stderr: What it complained of.
        timed_out: Whether it was killed for being late.
    """

    returncode: int
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False

    @property
    def complaint(self) -> str:
        """Its error and the cause, else the last thing that it said, else how it ended."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines()]
        told = [
            line.partition(":")[2].strip()
            for line in lines
            if line.lower().startswith(("error:", "why:"))
        ]
        said = ": ".join(told[:2]) or next((line for line in reversed(lines) if line), "")
        if self.returncode < 0:
            said = f"ended by {_signal_name(-self.returncode)}" + (f": {said}" if said else "")
        return said or f"exit code {self.returncode}, and no message"


Run = Callable[[Sequence[str], float], Completed]


def run(command: Sequence[str], timeout_s: float) -> Completed:
    """Runs a program in a process group of its own, which ends with it.

    Args:
        command: Program and arguments.
        timeout_s: After which all of the group is killed.

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
        return Completed(-signal.SIGKILL, *_killed(process), timed_out=True)
    except BaseException:
        _killed(process)
        raise


def _killed(process: subprocess.Popen[str]) -> tuple[str, str]:
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
