"""How adb fails: what its messages mean, and how to fix it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agecompact.errors import BackendMissingError

FailureKind = Literal[
    "gone",
    "unauthorised",
    "offline",
    "no-permission",
    "no-space",
    "timeout",
    "command-failed",
]


class AdbFailure(BackendMissingError):  # noqa: N818 - often a result to record.
    """A device, or the connection to it, failed.

    Attributes:
        kind: `gone`: disconnected, or never connected. `unauthorised`: its owner has not allowed
            debugging. `offline`: it does not respond to adb. `no-permission`: this machine may not
            use the USB device. `no-space`: its storage is full. `timeout`: a command took too long.
            `command-failed`: the command itself failed.
        reason: What failed and why, on one line.
    """

    def __init__(self, kind: FailureKind, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix or _FIXES.get(kind, ""))
        self.kind = kind
        self.reason = f"{kind}: {': '.join(part for part in (what, why) if part)}"


_FIXES: Mapping[FailureKind, str] = {
    "gone": "reconnect it with a cable that carries data, then run: adb devices",
    "unauthorised": "unlock the device, accept its question 'Allow USB debugging?', try again",
    "offline": "run adb reconnect offline, or unplug the cable and plug it in again",
    "no-permission": "apt-get install android-sdk-platform-tools-common, then plug it in again",
    "no-space": "free some of the device's storage",
    "timeout": "try again, or give agecompact bench adb a longer --timeout",
}

# The order matters: `device unauthorized` also contains words of other failures.
_MESSAGES: tuple[tuple[str, FailureKind], ...] = (
    ("no space left", "no-space"),
    ("disk quota exceeded", "no-space"),
    ("unauthorized", "unauthorised"),
    ("still authorizing", "unauthorised"),
    ("no permissions", "no-permission"),
    ("insufficient permissions", "no-permission"),
    ("device offline", "offline"),
    ("' not found", "gone"),
    ("device not found", "gone"),
    ("no devices", "gone"),
    ("error: closed", "gone"),
    ("connection reset", "gone"),
    ("connection refused", "gone"),
    ("couldn't read from device", "gone"),
    ("failed to get feature set", "gone"),
    ("protocol fault", "gone"),
    ("transport error", "gone"),
    ("broken pipe", "gone"),
)


def kind_of(message: str) -> FailureKind | None:
    """The kind of failure that adb's message reports; None if it is not known.

    The messages are those of adb 29 to 36 (platform-tools, client/adb_client.cpp, transport.cpp and
    file_sync_client.cpp).
    """
    lowered = message.lower()
    return next((kind for words, kind in _MESSAGES if words in lowered), None)
