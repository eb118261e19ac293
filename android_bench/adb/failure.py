"""How adb can fail: what its messages mean, and what mends it."""

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
    """A device, or the way to it, failed.

    Attributes:
        kind: `gone` was there before or was never seen, `unauthorised` asks its owner first,
            `offline` does not answer adb, `no-permission` is this machine's, `no-space` is its
            storage, `timeout` went on too long, `command-failed` is what the command itself said.
        reason: What adb or the device said.
    """

    def __init__(self, kind: FailureKind, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix or _FIXES.get(kind, ""))
        self.kind = kind

    @property
    def reason(self) -> str:
        """What failed and why, on one line."""
        return f"{self.kind}: {': '.join(part for part in (self.what, self.why) if part)}"


_FIXES: Mapping[FailureKind, str] = {
    "gone": "connect it again, with a cable that carries data, and look at: adb devices",
    "unauthorised": "unlock the device, accept its question 'Allow USB debugging?', try again",
    "offline": "adb reconnect offline, or pull the cable and plug it in again",
    "no-permission": "apt-get install android-sdk-platform-tools-common, then plug it in again",
    "no-space": "free some of the device's storage",
}

# In this order: `device unauthorized` also says that adb cannot do what was asked of it.
_WORDS: tuple[tuple[str, FailureKind], ...] = (
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
    """What a message of adb means; None if nothing known.

    The words are those of adb 29 to 36 (platform-tools, client/adb_client.cpp, transport.cpp and
    file_sync_client.cpp).
    """
    lowered = message.lower()
    return next((kind for words, kind in _WORDS if words in lowered), None)
