"""A thin, typed wrapper of the adb program, for one device."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agecompact import children
from android_bench.adb import device_list
from android_bench.adb.failure import AdbFailure, FailureKind, kind_of
from android_bench.failure import last_lines

_TIMEOUT_S = 60.0
_COPY_TIMEOUT_S = 600.0
_RETRY_S = 0.2
# Printed after the command. adb's own exit code does not distinguish a failed command from a lost
# device, and before Android 7 it was always 0.
_MARK = "@agecompact-exit"


@dataclass(frozen=True)
class CommandResult:
    """A command that ran to its end on the device.

    Attributes:
        exit_code: Its exit code; 128 plus the signal's number after a crash.
        stdout: Its standard output.
        stderr: Its standard error; part of `stdout` before Android 7.
    """

    exit_code: int
    stdout: str
    stderr: str


def connect(program: Path, serial: str | None) -> Client:
    """A client for the device to use.

    Args:
        program: The adb program.
        serial: The device's serial; None if only one is connected.

    Raises:
        UsageError: There are several and no serial is given, or none has that serial.
        AdbFailure: There is none, or it is not ready, or adb itself failed.
    """
    done = _run(program, ["devices", "-l"], _TIMEOUT_S)
    if done.returncode != 0:
        raise AdbFailure("command-failed", "adb lists no devices", why=last_lines(done.stderr))
    return Client(program, device_list.choose(device_list.parse(done.stdout), serial).serial)


class Client:
    """Runs commands on one device and copies files to and from it.

    Args:
        program: The adb program.
        serial: Serial of a device that was ready when it was chosen: if it is not any more, the
            failure is `gone`.
    """

    def __init__(self, program: Path, serial: str) -> None:
        self._program = program
        self.serial = serial

    def shell(self, command: str, *, timeout_s: float = _TIMEOUT_S) -> CommandResult:
        """Runs a command in the device's shell, with any exit code.

        Args:
            command: The command; words that are not constant are quoted.
            timeout_s: Longest that it may take.

        Raises:
            AdbFailure: The device was lost, or the command took too long.
        """
        script = f"(\n{command}\n)\nagecompact_code=$?; echo; echo {_MARK} $agecompact_code"
        done = self._adb(["shell", script], timeout_s)
        text = done.stdout.replace("\r\n", "\n")
        stdout, mark, code = text.rpartition(f"\n{_MARK} ")
        if not mark or not re.fullmatch(r"[0-9]{1,9}", code.strip()):
            raise self._lost(f"'{_shortened(command)}' was cut off", done.stderr)
        return CommandResult(int(code), stdout, done.stderr)

    def check(self, command: str, *, timeout_s: float = _TIMEOUT_S) -> str:
        """Runs a command that must succeed; returns its standard output.

        Raises:
            AdbFailure: It failed or took too long, or the device was lost.
        """
        result = self.shell(command, timeout_s=timeout_s)
        if result.exit_code != 0:
            message = last_lines(result.stderr or result.stdout)
            raise AdbFailure(
                kind_of(message) or "command-failed",
                f"'{_shortened(command)}' failed on {self.serial}",
                why=f"exit code {result.exit_code}: {message}",
            )
        return result.stdout

    def push(self, local: Path, remote: str) -> None:
        """Copies a file to the device.

        Raises:
            AdbFailure: The copy is incomplete.
        """
        self._copy(["push", str(local), remote], f"cannot push {local.name} to {self.serial}")

    def pull(self, remote: str, local: Path) -> None:
        """Copies a file from the device.

        Raises:
            AdbFailure: The copy is incomplete.
        """
        self._copy(["pull", remote, str(local)], f"cannot pull {remote} from {self.serial}")

    def wait(self, timeout_s: float) -> bool:
        """Waits until the device responds; returns whether it does."""
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                if self._adb(["wait-for-device"], left_s).returncode == 0:
                    self.check("true", timeout_s=left_s)
                    return True
            except AdbFailure:
                # adb takes a moment to notice that a device was lost.
                time.sleep(_RETRY_S)
        return False

    def _copy(self, arguments: list[str], what: str) -> None:
        done = self._adb(arguments, _COPY_TIMEOUT_S)
        if done.returncode != 0:
            raise self._lost(what, done.stderr + done.stdout)

    def _lost(self, what: str, message: str) -> AdbFailure:
        kind = kind_of(message) or self._state()
        # It was ready when it was chosen: a lost connection looks `offline` at first.
        kind = "gone" if kind == "offline" else kind
        return AdbFailure(kind, what, why=last_lines(message))

    def _state(self) -> FailureKind:
        done = self._adb(["get-state"], _TIMEOUT_S)
        if done.returncode == 0 and done.stdout.strip() == "device":
            return "command-failed"
        return kind_of(done.stderr) or "gone"

    def _adb(self, arguments: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return _run(self._program, ["-s", self.serial, *arguments], timeout_s)


def _run(
    program: Path, arguments: Sequence[str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    try:
        return children.run([program, *arguments], timeout_s=timeout_s)
    except children.TimedOut:
        raise AdbFailure(
            "timeout",
            f"adb {_shortened(' '.join(arguments))} did not end",
            why=f"it took more than {timeout_s:g} s",
        ) from None
    except OSError as error:
        raise AdbFailure(
            "command-failed", f"{program} does not run", why=error.strerror or str(error)
        ) from None


def _shortened(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
