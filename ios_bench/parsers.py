"""Parsers of the output of `xcrun devicectl`: pure functions, tested on saved output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agecompact.errors import AgecompactError, ExitCode
from agecompact.files import json_value

# State of a phone that is switched off; `disconnected` is any phone before its first command.
_GONE = "unavailable"


class DeviceError(AgecompactError):
    """A device or `devicectl` failed."""

    exit_code = ExitCode.ENVIRONMENT


@dataclass(frozen=True)
class Device:
    """A device as `devicectl list devices` reports it; None for what it does not report.

    Attributes:
        identifier: CoreDevice's identifier, which every other command takes.
        udid: The hardware's identifier.
        name: The name that its owner chose.
        marketing_name: Such as `iPhone 15 Pro`.
        product_type: Such as `iPhone16,1`.
        platform: `iOS`, `watchOS`, ...
        simulated: Whether it is a simulator; newer versions list those too.
        os_version: Such as `17.5.1`.
        os_build: Such as `21F90`.
        cpu: Processor architecture.
        connection: `connected`, `disconnected`, `unavailable`.
        transport: `wired`, `localNetwork`; None if unreachable.
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
        """Its name and identifier, for messages."""
        return f"{self.name or self.marketing_name or 'a device'} ({self.identifier})"


@dataclass(frozen=True)
class Obstacle:
    """Why a device cannot be measured, and what its owner can do.

    Attributes:
        why: The cause.
        fix: The remedy.
    """

    why: str
    fix: str


_UNAVAILABLE = Obstacle(
    "it cannot be reached",
    "connect it with a cable, unlock it, and check: xcrun devicectl list devices",
)
_UNPAIRED = Obstacle(
    "it does not trust this Mac",
    "xcrun devicectl manage pair --device DEVICE, then tap Trust on it and enter its passcode",
)
_NO_DEVELOPER_MODE = Obstacle(
    "its Developer Mode is off",
    "switch it on in Settings > Privacy & Security > Developer Mode, and restart the device",
)
LOCKED = Obstacle("it is locked", "unlock it and keep it unlocked: set Auto-Lock to Never")

# CoreDevice's error messages, by a part of their text.
_KNOWN_MESSAGES: tuple[tuple[str, Obstacle], ...] = (
    ("could not be, unlocked", LOCKED),
    ("device is locked", LOCKED),
    ("failed preflight checks", LOCKED),
    ("must be paired before", _UNPAIRED),
    ("Developer Mode is disabled", _NO_DEVELOPER_MODE),
    (
        "developer disk image could not be mounted",
        Obstacle(
            "its developer disk image could not be mounted",
            "unlock it, check that its Developer Mode is on, and open it once in Xcode > Devices",
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
    ("Connection was invalidated", Obstacle("it was disconnected", _UNAVAILABLE.fix)),
)


def parse_result(text: str) -> Mapping[str, Any]:
    """Returns the `result` of any command's JSON.

    Args:
        text: What `--json-output` wrote.

    Raises:
        DeviceError: The command failed, or its output is incomplete.
    """
    try:
        content = json_value(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"it is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise _unreadable("it is not a JSON object")
    if "error" in content or _at(content, "info", "outcome") == "failed":
        raise explained(_messages(content.get("error")))
    result = content.get("result")
    if not isinstance(result, dict):
        raise _unreadable("it holds no result")
    return result


def parse_devices(text: str) -> tuple[Device, ...]:
    """Returns the devices of `devicectl list devices`, JSON versions 1 to 5.

    Raises:
        DeviceError: The command failed, or its output is incomplete.
    """
    listed = parse_result(text).get("devices")
    if not isinstance(listed, list):
        raise _unreadable("its result lists no devices")
    return tuple(_device(entry) for entry in listed if _text(entry, "identifier"))


def parse_locked(text: str) -> bool | None:
    """Returns whether `devicectl device info lockState` needs a passcode; None if unknown.

    Raises:
        DeviceError: The command failed, or its output is incomplete.
    """
    required = parse_result(text).get("passcodeRequired")
    return required if isinstance(required, bool) else None


def obstacle(device: Device) -> Obstacle | None:
    """Returns why a device cannot be measured; None if no reason is known."""
    if device.simulated:
        return Obstacle("it is a simulator, which runs on the Mac", "--on mac")
    if device.platform not in (None, "iOS", "iPadOS"):
        return Obstacle(f"its system is {device.platform}", "choose an iPhone or an iPad")
    if device.pairing == "unpaired":
        return _UNPAIRED
    if device.connection == _GONE and device.transport is None:
        return _UNAVAILABLE
    if device.developer_mode == "disabled":
        return _NO_DEVELOPER_MODE
    return None


def explained(messages: tuple[str, ...]) -> DeviceError:
    """Returns the error of a failed command.

    Args:
        messages: Its messages, outermost first.
    """
    text = "; ".join(dict.fromkeys(messages)) or "devicectl failed and does not say why"
    for part, known in _KNOWN_MESSAGES:
        if part in text:
            return DeviceError(f"the device refused: {known.why}", why=text, fix=known.fix)
    return DeviceError("the device refused", why=text, fix="xcrun devicectl list devices")


def _unreadable(why: str) -> DeviceError:
    return DeviceError(
        "the output of devicectl cannot be read",
        why=why,
        fix="install Xcode 15 or newer, and select it with xcode-select -s",
    )


def _device(entry: Mapping[str, Any]) -> Device:
    # Version 5 reports everything twice; the second form is the one that will stay.
    modern = entry.get("properties")
    hardware = _merged(entry.get("hardwareProperties"), _at(modern, "hardware"))
    state = _merged(entry.get("deviceProperties"), _at(modern, "software"), _at(modern, "state"))
    link = _merged(entry.get("connectionProperties"), _at(modern, "connection"))
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
    text = _at(value, name)
    return text if isinstance(text, str) and text.strip() else None


def _messages(error: Any) -> tuple[str, ...]:
    """The messages of an error and of those under it."""
    messages: list[str] = []
    while isinstance(error, dict):
        user_info = error.get("userInfo")
        for name in ("NSLocalizedDescription", "NSLocalizedFailureReason", "NSDescription"):
            if text := _text(_at(user_info, name), "string"):
                messages.append(text)
        error = _at(user_info, "NSUnderlyingError", "error")
    return tuple(messages)
