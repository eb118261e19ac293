"""Which devices there are, and which of them is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agecompact.errors import UsageError
from android_bench.adb.failure import AdbFailure, FailureKind

_LINE = re.compile(r"(\S+)\s+(no permissions.*|device|[a-z]+)(?:\s+(.*))?")
_READY = "device"
# Of adb's states; any other is one in which no program can be run, such as `recovery`.
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
        state: `device` where it can be used, else adb's word for why not.
        model: Its model, such as `Pixel_8`; None where adb does not tell.
    """

    serial: str
    state: str
    model: str | None = None

    @property
    def ready(self) -> bool:
        """Whether programs can be run on it."""
        return self.state == _READY


def parse(text: str) -> tuple[Device, ...]:
    """Reads what `adb devices -l` prints."""
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        # Besides its heading, adb says here that it starts its server.
        if match is None or line.startswith(("*", "List of devices", "adb ")):
            continue
        state = "no permissions" if match[2].startswith("no permissions") else match[2]
        model = re.search(r"\bmodel:(\S+)", match[3] or "")
        found.append(Device(match[1], state, model[1] if model else None))
    return tuple(found)


def choose(devices: Sequence[Device], serial: str | None) -> Device:
    """The device that is meant.

    Args:
        devices: Those that adb knows.
        serial: Of the one that is meant; None where there is but one.

    Raises:
        UsageError: There are several and none was named, or none of that serial.
        AdbFailure: There is none, or it cannot be used as it is.
    """
    named = [device for device in devices if serial in (None, device.serial)]
    if not devices:
        raise AdbFailure(
            "gone",
            "no Android device is connected",
            fix="connect one with USB debugging on, and look at: adb devices",
        )
    if not named:
        raise UsageError(
            f"no device '{serial}'",
            why=f"connected: {', '.join(device.serial for device in devices)}",
            fix=f"--serial {devices[0].serial}",
        )
    usable = [device for device in named if device.ready]
    if len(usable) > 1 or (not usable and len(named) > 1):
        raise UsageError(
            "more than one Android device is connected",
            why=", ".join(f"{device.serial} ({device.state})" for device in named),
            fix=f"--serial {(usable or named)[0].serial}, or export ANDROID_SERIAL",
        )
    if usable:
        return usable[0]
    (device,) = named
    raise AdbFailure(
        _KINDS.get(device.state, "offline"),
        f"device {device.serial} cannot be used",
        why=f"adb says that it is '{device.state}'",
    )
