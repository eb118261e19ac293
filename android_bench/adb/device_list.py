"""The devices that adb lists, and the one to use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agecompact.errors import UsageError
from android_bench.adb.failure import AdbFailure, FailureKind

_LINE = re.compile(r"(\S+)\s+(no permissions|device|[a-z]+)(?:\W.*)?")
_READY = "device"
# In any other state, such as `recovery`, no program can be run.
_KINDS: Mapping[str, FailureKind] = {
    "unauthorized": "unauthorised",
    "authorizing": "unauthorised",
    "offline": "offline",
    "connecting": "offline",
    "no permissions": "no-permission",
}


@dataclass(frozen=True)
class Device:
    """A device as `adb devices -l` lists it.

    Attributes:
        serial: Its serial, or `host:port`.
        state: `device` if it can be used, else adb's word for why not.
    """

    serial: str
    state: str

    @property
    def ready(self) -> bool:
        """Whether it can run programs."""
        return self.state == _READY


def parse(text: str) -> tuple[Device, ...]:
    """Parses the output of `adb devices -l`."""
    devices = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        # Besides its heading, adb also prints that it starts its server.
        if match is None or line.startswith(("*", "List of devices", "adb ")):
            continue
        devices.append(Device(match[1], match[2]))
    return tuple(devices)


def choose(devices: Sequence[Device], serial: str | None) -> Device:
    """The device to use.

    Args:
        devices: Those that adb lists.
        serial: Its serial; None if only one device is connected.

    Raises:
        UsageError: There are several and no serial is given, or none has that serial.
        AdbFailure: There is none, or it is not ready.
    """
    if not devices:
        raise AdbFailure(
            "gone",
            "no Android device is connected",
            fix="connect one with USB debugging enabled, then run: adb devices",
        )
    candidates = [device for device in devices if serial in (None, device.serial)]
    if not candidates:
        raise UsageError(
            f"no device '{serial}'",
            why=f"connected: {', '.join(device.serial for device in devices)}",
            fix=f"--on adb:{devices[0].serial}, or --serial {devices[0].serial} of bench adb",
        )
    # A single device that is ready is used even if others are not.
    usable = [device for device in candidates if device.ready] or candidates
    if len(usable) > 1:
        raise UsageError(
            "more than one Android device is connected",
            why=", ".join(f"{device.serial} ({device.state})" for device in candidates),
            fix=f"--on adb:{usable[0].serial}, or export ANDROID_SERIAL={usable[0].serial}",
        )
    (device,) = usable
    if not device.ready:
        raise AdbFailure(
            _KINDS.get(device.state, "offline"),
            f"device {device.serial} cannot be used",
            why=f"adb reports its state as '{device.state}'",
        )
    return device
