"""A thin, typed wrapper of the adb program, for one device."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from android_bench.adb import devices
from android_bench.adb.devices import Device
from android_bench.adb.failure import AdbFailure, FailureKind, kind_of
from android_bench.native.failure import last_lines

_TIMEOUT_S = 60.0
_COPY_TIMEOUT_S = 600.0
_LOOK_AGAIN_S = 0.2
# After the command, on a line of its own. adb's own exit code does not tell a command that failed
# from a device that left, and before Android 7 it was 0 whatever the command's was.
_MARK = "@agecompact-exit"


@dataclass(frozen=True)
class CommandResult:
    """A command that ran to its end on the device.

    Attributes:
        exit_code: Its exit code; 128 and the signal's number after a crash.
        stdout: What it printed.
        stderr: What it complained of; with `stdout` before Android 7.
    """

    exit_code: int
    stdout: str
    stderr: str


def list_devices(program: Path) -> tuple[Device, ...]:
    """The devices that adb knows; starts its server if it must.

    Raises:
        AdbFailure: adb itself failed.
    """
    done = _run(program, ["devices", "-l"], _TIMEOUT_S)
    if done.returncode != 0:
        raise AdbFailure("command-failed", "adb lists no devices", why=last_lines(done.stderr))
    return devices.parse(done.stdout)


def connect(program: Path, serial: str | None) -> Client:
    """A client for the device that is meant.

    Args:
        program: The adb program.
        serial: Of the device; None where there is but one.

    Raises:
        UsageError: There are several and none was named, or none of that serial.
        AdbFailure: There is none, or it cannot be used as it is.
    """
    return Client(program, devices.choose(list_devices(program), serial).serial)


def quoted(words: Sequence[str]) -> str:
    """Words as one command of the device's shell."""
    return shlex.join(words)


class Client:
    """Runs commands on one device and copies files to and from it.

    Args:
        program: The adb program.
        serial: Of a device that was ready when it was chosen; that it is not any more is told as
            `gone`.
    """

    def __init__(self, program: Path, serial: str) -> None:
        self._program = program
        self.serial = serial

    def shell(self, command: str, *, timeout_s: float = _TIMEOUT_S) -> CommandResult:
        """Runs a command of the device's shell, whatever its exit code.

        Args:
            command: As the shell takes it; words from elsewhere go through `quoted`.
            timeout_s: Longest that it may take.

        Raises:
            AdbFailure: The device left, or the command did not end in time.
        """
        script = f"(\n{command}\n)\nagecompact_code=$?; echo; echo {_MARK} $agecompact_code"
        done = self._adb(["shell", script], timeout_s)
        text = done.stdout.replace("\r\n", "\n")
        stdout, mark, code = text.rpartition(f"\n{_MARK} ")
        if not mark or not code.strip().isdecimal():
            raise self._lost(f"'{_shortened(command)}' was cut off", done.stderr)
        return CommandResult(int(code), stdout, done.stderr)

    def check(self, command: str, *, timeout_s: float = _TIMEOUT_S) -> str:
        """Runs a command that must succeed; returns what it printed.

        Raises:
            AdbFailure: It failed, the device left, or it did not end in time.
        """
        ran = self.shell(command, timeout_s=timeout_s)
        if ran.exit_code != 0:
            said = last_lines(ran.stderr or ran.stdout)
            raise AdbFailure(
                kind_of(said) or "command-failed",
                f"'{_shortened(command)}' failed on {self.serial}",
                why=f"exit code {ran.exit_code}: {said}",
            )
        return ran.stdout

    def push(self, local: Path, remote: str) -> None:
        """Copies a file to the device.

        Raises:
            AdbFailure: It did not get there whole.
        """
        self._copy(["push", str(local), remote], f"cannot push {local.name} to {self.serial}")

    def pull(self, remote: str, local: Path) -> None:
        """Copies a file from the device.

        Raises:
            AdbFailure: It did not get here whole.
        """
        self._copy(["pull", remote, str(local)], f"cannot pull {remote} from {self.serial}")

    def wait(self, timeout_s: float) -> bool:
        """Whether the device answers, or does so in time."""
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                if self._adb(["wait-for-device"], left_s).returncode == 0:
                    self.check("true", timeout_s=left_s)
                    return True
            except AdbFailure:
                # adb takes a moment to see that a device left.
                time.sleep(_LOOK_AGAIN_S)
        return False

    def _copy(self, arguments: list[str], what: str) -> None:
        done = self._adb(arguments, _COPY_TIMEOUT_S)
        if done.returncode != 0:
            raise self._lost(what, done.stderr + done.stdout)

    def _lost(self, what: str, said: str) -> AdbFailure:
        kind = kind_of(said) or self._state()
        # It was ready when it was chosen: adb's `offline` is how a lost connection looks at first.
        kind = "gone" if kind == "offline" else kind
        return AdbFailure(kind, what, why=last_lines(said))

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
        return subprocess.run(
            [str(program), *arguments],
            # adb shell would read, and swallow, what is typed for this process.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
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
