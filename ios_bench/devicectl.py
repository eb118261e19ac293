"""`xcrun devicectl`, with a method for each command that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agecompact.scratch import scratch_folder
from ios_bench import parsers, tool
from ios_bench.parsers import Device, DeviceError

# For every command but the launch: a wireless copy sometimes hangs forever.
_TIMEOUT_S = 120.0
_CONTAINER = ("--domain-type", "appDataContainer", "--domain-identifier")


@dataclass(frozen=True)
class Devicectl:
    """The program, run with a time limit.

    Attributes:
        run: Runs a program.
    """

    run: tool.Run = tool.run

    def devices(self) -> tuple[Device, ...]:
        """Lists all devices that were ever paired with this Mac.

        Raises:
            DeviceError: They cannot be listed.
        """
        return parsers.parse_devices(self._json(["list", "devices"]))

    def locked(self, device: str) -> bool | None:
        """Returns whether a device is locked; None if unknown.

        Args:
            device: Its identifier.
        """
        try:
            return parsers.parse_locked(
                self._json(["device", "info", "lockState", "--device", device])
            )
        except DeviceError:
            return None

    def install(self, device: str, app: Path) -> None:
        """Installs an app.

        Args:
            device: The device's identifier.
            app: The signed `.app` folder.

        Raises:
            DeviceError: The device refused it.
        """
        command = ["device", "install", "app", "--device", device, str(app)]
        parsers.parse_result(self._json(command))

    def copy(
        self,
        direction: Literal["to", "from"],
        device: str,
        bundle: str,
        source: Path | str,
        destination: Path | str,
    ) -> None:
        """Copies a file or folder into an app's container or out of it.

        Args:
            direction: `to` the container or `from` it.
            device: The device's identifier.
            bundle: The app's bundle identifier.
            source: Path on this Mac or in the container.
            destination: Path on the other side, which must not exist yet.

        Raises:
            DeviceError: The device refused it, for example because there is no such file.
        """
        command = ["device", "copy", direction, "--device", device, *_CONTAINER, bundle]
        command += ["--source", str(source), "--destination", str(destination)]
        parsers.parse_result(self._json(command))

    def launch(
        self, device: str, bundle: str, arguments: Sequence[str], timeout_s: float
    ) -> tool.Completed:
        """Starts an app and waits for its end.

        Args:
            device: The device's identifier.
            bundle: The app's bundle identifier.
            arguments: Arguments for the app.
            timeout_s: How long to wait for it.

        Raises:
            DeviceError: The app was not started.
        """
        command = ["xcrun", "devicectl", "device", "process", "launch", "--device", device]
        command += ["--console", "--terminate-existing", bundle, *arguments]
        completed = self.run(command, timeout_s)
        # devicectl passes the app's exit code on, so only its messages show a failed start.
        failed = completed.returncode != 0 and not completed.timed_out
        lines = _lines(completed.stderr)
        if failed and any(line.startswith("ERROR:") for line in lines):
            raise parsers.explained(lines)
        return completed

    def _json(self, command: Sequence[str]) -> str:
        with scratch_folder() as scratch:
            out = scratch / "devicectl.json"
            completed = self.run(
                ["xcrun", "devicectl", *command, "--json-output", str(out)], _TIMEOUT_S
            )
            if completed.timed_out:
                raise DeviceError(
                    "the device does not answer",
                    why=f"nothing within {_TIMEOUT_S:g} s of: devicectl {' '.join(command[:3])}",
                    fix="connect it with a cable instead of the network",
                )
            if out.exists():
                return out.read_text(encoding="utf-8", errors="replace")
            raise parsers.explained(_lines(completed.stderr) or (completed.message,))


def _lines(stderr: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in stderr.splitlines() if line.strip())
