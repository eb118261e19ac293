"""A measurement that failed in a program outside this process, as data for a record."""

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
    "contradictory",
    "failed",
    "unsteady",
    "wrong-output",
]

_LAST_LINES = 3


class MeasurementFailure(Exception):  # noqa: N818 - a result to record, not a user's error.
    """A program produced no usable figures.

    Attributes:
        kind: `usage`, `library`, `model`, `golden` (its pack), `mismatch` (of model and pack),
            `inference` and `cores` are the runner's own errors; `failed` is an error of
            `benchmark_model`; `crash` is a signal. Output that is `truncated`, `malformed` or
            `contradictory` cannot be read. `unsteady` counts do not repeat.
        reason: What the program printed, or what happened to it.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


def last_lines(text: str) -> str:
    """The end of a log, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:]) or "it printed nothing"
