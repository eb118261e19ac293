"""What `xcrun devicectl` writes, read: pure functions, held to saved outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agecompact.errors import AgecompactError, ExitCode

# Seen of phones that lie switched off in a drawer; `disconnected` is any phone before its first
# command.
_GONE = frozenset({"unavailable"})


class DeviceError(AgecompactError):
    """A device, or `devicectl`, did not do what it was told."""

    exit_code = ExitCode.ENVIRONMENT


@dataclass(frozen=True)
class Device:
    """A device as `devicectl list devices` tells it; None for what it does not tell.

    Attributes:
        identifier: CoreDevice's own, which every other command takes.
        udid: The hardware's.
        name: What its owner calls it.
        marketing_name: Such as `iPhone 15 Pro`.
        product_type: Such as `iPhone16,1`.
        platform: `iOS`, `watchOS`, ...
        simulated: Whether it is a simulator, which newer versions list too.
        os_version: Such as `17.5.1`.
        os_build: Such as `21F90`.
        cpu: Its architecture.
        connection: `connected`, `disconnected`, `unavailable`.
        transport: `wired`, `localNetwork`; None where it cannot be reached.
        pairing: `paired` or `unpaired`.
        developer_mode: `enabled` or `disabled`.
    """

    identifier: str
    udid: str | None = None
    name: str | None = None
    marketing_name: str | None = None
    product_type: str | None = None
    platform: str | None = None
    simulated: bool = False
    os_version: str | None = None
    os_build: str | None = None
    cpu: str | None = None
    connection: str | None = None
    transport: str | None = None
    pairing: str | None = None
    developer_mode: str | None = None

    @property
    def label(self) -> str:
        """How people tell it from others."""
        return f"{self.name or self.marketing_name or 'a device'} ({self.identifier})"


@dataclass(frozen=True)
class Obstacle:
    """Why a device cannot be measured, and what its owner can do.

    Attributes:
        why: The cause.
        fix: The cure.
    """

    why: str
    fix: str


_UNAVAILABLE = Obstacle(
    "it cannot be reached",
    "connect it with a cable, unlock it, and see: xcrun devicectl list devices",
)
_UNPAIRED = Obstacle(
    "it does not trust this Mac",
    "xcrun devicectl manage pair --device DEVICE, then tap Trust on it and enter its passcode",
)
_NO_DEVELOPER_MODE = Obstacle(
    "its Developer Mode is off",
    "turn it on in Settings > Privacy & Security > Developer Mode, and restart the device",
)
LOCKED = Obstacle("it is locked", "unlock it and keep it unlocked: set Auto-Lock to Never")

# What CoreDevice says when a command fails, by a part of its words.
_SAID: tuple[tuple[str, Obstacle], ...] = (
    ("could not be, unlocked", LOCKED),
    ("device is locked", LOCKED),
    ("failed preflight checks", LOCKED),
    ("must be paired before", _UNPAIRED),
    ("Developer Mode is disabled", _NO_DEVELOPER_MODE),
    (
        "developer disk image could not be mounted",
        Obstacle(
            "its developer disk image could not be mounted",
            "unlock it, see that its Developer Mode is on, and open it once in Xcode > Devices",
        ),
    ),
    (
        "not been explicitly trusted",
        Obstacle(
            "it does not trust the app's developer",
            "trust it in Settings > General > VPN & Device Management",
        ),
    ),
    ("specified device was not found", _UNAVAILABLE),
    ("tunnel connection failed", _UNAVAILABLE),
    ("Connection was invalidated", Obstacle("it went away meanwhile", _UNAVAILABLE.fix)),
)


def parse_result(text: str) -> Mapping[str, Any]:
    """The `result` of any command's JSON.

    Args:
        text: What `--json-output` wrote.

    Raises:
        DeviceError: The command failed, or its output is not whole.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _unreadable(f"its JSON is not whole: {error}") from None
    if not isinstance(content, dict):
        raise _unreadable("its JSON is no object")
    if "error" in content or _at(content, "info", "outcome") == "failed":
        raise explained(_messages(content.get("error")))
    result = content.get("result")
    if not isinstance(result, dict):
        raise _unreadable("its JSON holds no result")
    return result


def parse_devices(text: str) -> tuple[Device, ...]:
    """The devices of `devicectl list devices`, of JSON versions 1 to 5.

    Raises:
        DeviceError: The command failed, or its output is not whole.
    """
    listed = parse_result(text).get("devices")
    if not isinstance(listed, list):
        raise _unreadable("its result lists no devices")
    return tuple(_device(entry) for entry in listed if _text(entry, "identifier"))


def parse_locked(text: str) -> bool | None:
    """Whether `devicectl device info lockState` says that a passcode is needed; None if unsaid.

    Raises:
        DeviceError: The command failed, or its output is not whole.
    """
    told = parse_result(text).get("passcodeRequired")
    return told if isinstance(told, bool) else None


def obstacle(device: Device) -> Obstacle | None:
    """What stands in the way of measuring a device; None if nothing does that is known."""
    if device.simulated:
        return Obstacle("it is a simulator, which computes on the Mac", "--on mac")
    if device.platform not in (None, "iOS", "iPadOS"):
        return Obstacle(f"its system is {device.platform}", "choose an iPhone or an iPad")
    if device.pairing == "unpaired":
        return _UNPAIRED
    if device.connection in _GONE and device.transport is None:
        return _UNAVAILABLE
    if device.developer_mode == "disabled":
        return _NO_DEVELOPER_MODE
    return None


def explained(messages: tuple[str, ...]) -> DeviceError:
    """The error of a failed command.

    Args:
        messages: What it said, the outermost first.
    """
    said = "; ".join(dict.fromkeys(messages)) or "devicectl failed, and does not say why"
    for words, known in _SAID:
        if words in said:
            return DeviceError(f"the device refused: {known.why}", why=said, fix=known.fix)
    return DeviceError(
        "the device refused", why=said, fix="see what it says: xcrun devicectl list devices"
    )


def _unreadable(why: str) -> DeviceError:
    return DeviceError(
        "devicectl's answer cannot be read",
        why=why,
        fix="xcode-select -p should name Xcode 15 or newer",
    )


def _device(entry: Mapping[str, Any]) -> Device:
    # Version 5 tells all twice; the second form is the one that will stay.
    modern = entry.get("properties") or {}
    hardware = _merged(entry.get("hardwareProperties"), modern.get("hardware"))
    state = _merged(entry.get("deviceProperties"), modern.get("software"), modern.get("state"))
    link = _merged(entry.get("connectionProperties"), modern.get("connection"))
    version, mode = state.get("osVersionNumber"), state.get("developerModeStatus")
    return Device(
        identifier=entry["identifier"],
        udid=_text(hardware, "udid"),
        name=_text(state, "name"),
        marketing_name=_text(hardware, "marketingName"),
        product_type=_text(hardware, "productType"),
        platform=_text(hardware, "platform"),
        simulated=hardware.get("reality") == "simulated",
        os_version=_text({"it": version}, "it") or _text(version, "stringValue"),
        os_build=_text(_at(state, "osBuildVersions", "buildVersion"), "name")
        or _text(state, "osBuildUpdate"),
        cpu=_text(hardware.get("cpuType"), "name"),
        connection=_text(link, "state") or _text(link, "tunnelState"),
        transport=_text(link, "transportType"),
        pairing=_text(link, "pairingState"),
        developer_mode=next(iter(mode), None) if isinstance(mode, dict) else mode,
    )


def _merged(*parts: Any) -> Mapping[str, Any]:
    return {name: v for part in parts if isinstance(part, dict) for name, v in part.items()}


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any, name: str) -> str | None:
    told = _at(value, name)
    return told if isinstance(told, str) and told.strip() else None


def _messages(error: Any) -> tuple[str, ...]:
    """What an error and those under it say."""
    told: list[str] = []
    while isinstance(error, dict):
        user_info = error.get("userInfo")
        for name in ("NSLocalizedDescription", "NSLocalizedFailureReason", "NSDescription"):
            if text := _text(_at(user_info, name), "string"):
                told.append(text)
        error = _at(user_info, "NSUnderlyingError", "error")
    return tuple(told)
