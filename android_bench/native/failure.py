"""How a measurement outside this process can fail: as data, for a record to tell."""

from __future__ import annotations

from typing import Literal

FailureKind = Literal[
    "usage",
    "library",
    "model",
    "golden",
    "mismatch",
    "inference",
    "cores",
    "crash",
    "timeout",
    "missing-cpuinfo",
    "truncated",
    "malformed",
    "unsteady",
    "wrong-output",
]

_LAST_LINES = 3


class RunnerFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """The runner gave no figure that can be used.

    Attributes:
        kind: `usage`, `library`, `model`, `golden` (its pack), `mismatch` (of model and pack),
            `inference` and `cores` are the runner's own words; `crash` is a signal; `truncated` and
            `malformed` are answers that cannot be read; `unsteady` are counts that do not repeat.
        reason: What it said, or what happened to it.
        fix: What mends it, where that is known.
    """

    def __init__(self, kind: FailureKind, reason: str, fix: str = "") -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.fix = fix


def last_lines(text: str) -> str:
    """The end of a log, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it said nothing"
