"""Errors that a user can act on, and exit codes that scripts can rely on.

Every error says what failed, why, and the command or change that fixes it. The command line prints
these three lines, as printable text, and no traceback. Anything that is not an `AgecompactError` is
a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from agecompact.text import one_line

# A text of a foreign file may have any length.
_LONGEST = 1000


class ExitCode(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    CONVERSION = 4
    UNDECIDED = 5


class AgecompactError(Exception):
    """A failure that the user can fix.

    Attributes:
        what: What failed, in one line.
        why: The cause; empty where `what` is enough.
        fix: The command or change that fixes it, or a line of text and then lines of Python; empty
            where there is none.
        exit_code: Exit code of the process.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    @property
    def summary(self) -> str:
        """What failed and why, in one line."""
        return f"{self.what}: {self.why}" if self.why else self.what

    def __str__(self) -> str:
        lines = [_short(self.what)]
        if self.why:
            # Lines of another program's output are indented, so that none looks like the fix.
            first, *more = self.why.splitlines()
            lines += [f"why: {_short(first)}", *(f"     {_short(line.strip())}" for line in more)]
        if self.fix:
            first, *more = self.fix.split("\n")
            lines += [f"fix: {one_line(first)}", *(f"     {one_line(line)}" for line in more)]
        return "\n".join(lines)


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


class UsageError(AgecompactError):
    """A bad argument or an unreadable input."""


class GateError(AgecompactError):
    """A check ran and failed."""

    exit_code = ExitCode.GATE_FAILED


class UndecidedError(AgecompactError):
    """A check ran and cannot tell: what it read is noisy, invalid or incomplete."""

    exit_code = ExitCode.UNDECIDED


class BackendMissingError(AgecompactError):
    """A runtime, an extra or a system facility is not available."""

    exit_code = ExitCode.ENVIRONMENT


class MachineError(AgecompactError):
    """The machine failed or limits this process: memory, disks, open files, processes."""

    exit_code = ExitCode.ENVIRONMENT


class OutputError(AgecompactError):
    """An output could not be written: no permission, no space."""

    exit_code = ExitCode.ENVIRONMENT


class ConversionError(AgecompactError):
    """A converter failed, or wrote a file that does not work."""

    exit_code = ExitCode.CONVERSION


def missing_extra(extra: str, module: str) -> BackendMissingError:
    """The error for an extra that is not installed.

    Args:
        extra: Name of the extra in `pyproject.toml`.
        module: The import that failed.
    """
    return BackendMissingError(
        f"this needs the '{extra}' extra",
        why=f"Python cannot import '{module}'",
        fix=install_command(extra),
    )


def install_command(extra: str | None) -> str:
    """The command that installs an extra; without one, agecompact and what every verb needs."""
    what = f"'.[{extra}]'" if extra else "."
    return f"pip install {what} in the folder of agecompact's source"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not registered; suggests the nearest one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return UsageError(
        f"unknown {kind} '{name}'",
        why=f"known: {', '.join(names)}",
        fix=f"did you mean '{near[0]}'?" if near else f"use one of the known {kind}s",
    )


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [repr(error)])[0]


def failure_text(error: BaseException) -> str:
    """An exception of a user's code in one line: its type, its message, and where it was raised."""
    if isinstance(error, AgecompactError):
        return error.summary
    text = f"{type(error).__name__}: {first_line(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
