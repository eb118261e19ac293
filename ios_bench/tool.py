"""External programs, run with a time limit."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agecompact import children


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
    """Runs a program, which is killed with all that it has started.

    Args:
        command: Program and arguments.
        timeout_s: Time limit.

    Raises:
        OSError: The program cannot be started.
    """
    try:
        done = children.run(command, timeout_s=timeout_s)
    except children.TimedOut as expired:
        return Completed(-signal.SIGKILL, expired.stdout, expired.stderr, timed_out=True)
    return Completed(done.returncode, done.stdout, done.stderr)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
