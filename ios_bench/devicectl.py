"""`xcrun devicectl`, a method for each command that a bench needs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ios_bench import parsers, tool
from ios_bench.parsers import Device, DeviceError

# Of everything but the launch: a wireless copy has been seen to hang for good.
_TIMEOUT_S = 120.0
_CONTAINER = ("--domain-type", "appDataContainer", "--domain-identifier")


@dataclass(frozen=True)
class Devicectl:
    """The program, run with a limit in time.

    Attributes:
        run: How programs are run.
    """

    run: tool.Run = tool.run

    def devices(self) -> tuple[Device, ...]:
        """All devices that this Mac has ever been paired with.

        Raises:
            DeviceError: They cannot be listed.
        """
        return parsers.parse_devices(self._json(["list", "devices"]))

    def locked(self, device: str) -> bool | None:
        """Whether a device is locked; None where it cannot be asked.

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
            DeviceError: It was refused.
        """
        command = ["device", "install", "app", "--device", device, str(app)]
        parsers.parse_result(self._json(command))

    def copy_to(self, device: str, bundle: str, source: Path, destination: str) -> None:
        """Copies a folder into an app's container.

        Args:
            device: The device's identifier.
            bundle: The app's.
            source: The folder here.
            destination: Its path in the container, where nothing is yet.

        Raises:
            DeviceError: It was refused.
        """
        self._copy("to", device, bundle, str(source), destination)

    def copy_from(self, device: str, bundle: str, source: str, destination: Path) -> None:
        """Copies a file out of an app's container.

        Args:
            device: The device's identifier.
            bundle: The app's.
            source: The file's path in the container.
            destination: Where it goes, where nothing is yet.

        Raises:
            DeviceError: It was refused, as where there is no such file.
        """
        self._copy("from", device, bundle, source, str(destination))

    def _copy(
        self, direction: str, device: str, bundle: str, source: str, destination: str
    ) -> None:
        command = ["device", "copy", direction, "--device", device, *_CONTAINER, bundle]
        command += ["--source", source, "--destination", destination]
        parsers.parse_result(self._json(command))

    def launch(
        self, device: str, bundle: str, arguments: Sequence[str], timeout_s: float
    ) -> tool.Completed:
        """Starts an app and waits for its end.

        Args:
            device: The device's identifier.
            bundle: The app's.
            arguments: For the app.
            timeout_s: After which it is left to itself.

        Raises:
            DeviceError: It was not started.
        """
        command = ["xcrun", "devicectl", "device", "process", "launch", "--device", device]
        command += ["--console", "--terminate-existing", bundle, *arguments]
        completed = self.run(command, timeout_s)
        # devicectl passes the app's exit code on, so its words alone tell a failed start.
        if completed.returncode != 0 and not completed.timed_out and _refused(completed.stderr):
            raise parsers.explained(_spoken(completed.stderr))
        return completed

    def _json(self, command: Sequence[str]) -> str:
        with tempfile.TemporaryDirectory(prefix="agecompact-") as scratch:
            out = Path(scratch) / "devicectl.json"
            whole = ["xcrun", "devicectl", *command, "--json-output", str(out)]
            completed = self.run(whole, _TIMEOUT_S)
            if completed.timed_out:
                raise DeviceError(
                    "the device does not answer",
                    why=f"nothing within {_TIMEOUT_S:g} s of: devicectl {' '.join(command[:3])}",
                    fix="connect it with a cable instead of the network",
                )
            if out.exists():
                return out.read_text(encoding="utf-8", errors="replace")
            raise parsers.explained(_spoken(completed.stderr) or (completed.complaint,))


def _refused(stderr: str) -> bool:
    return any(line.startswith("ERROR:") for line in stderr.splitlines())


def _spoken(stderr: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in stderr.splitlines() if line.strip())
