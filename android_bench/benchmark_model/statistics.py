"""Parses the `count=50 first=... avg=... std=...` lines, two in every run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from android_bench.failure import MeasurementFailure

US_PER_MS = 1e3

# C++ streams six digits, so a mean of seconds reads 1.29563e+06.
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"

_LINE = re.compile(r"\bcount=([0-9]{1,12})((?: \w+=\S+)*)\s*$")
_FIELD = re.compile(rf"(\w+)=({NUMBER})(?=\s|$)")
_ALL_SAME = "(all same)"
_REQUIRED = ("first", "min", "max", "avg", "std")


@dataclass(frozen=True, kw_only=True)
class RunStatistics:
    """What a tool reports about a series of inferences. Unknown is None.

    Attributes:
        count: Inferences in the series.
        mean_ms: Mean.
        first_ms: The first one.
        min_ms: Minimum.
        max_ms: Maximum.
        std_ms: Standard deviation with n - 1.
        median_ms: Median; only the newest tools print it.
    """

    count: int
    mean_ms: float
    first_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    median_ms: float | None = None


def figure(text: str) -> float:
    """A number that a tool printed.

    Args:
        text: What `NUMBER` matches.

    Raises:
        MeasurementFailure: It is too large for a time.
    """
    value = float(text)
    if not math.isfinite(value):
        raise MeasurementFailure("malformed", f"it prints the number {text[:40]}")
    return value


def find(line: str) -> RunStatistics | None:
    """The statistics in a line of a log; None if it holds none.

    Args:
        line: One line, with any prefix that a logger adds.

    Raises:
        MeasurementFailure: It begins like such a line and lacks fields.
    """
    match = _LINE.search(line.replace(_ALL_SAME, ""))
    if match is None:
        if re.search(r"\bcount=[0-9]+ ", line):
            raise MeasurementFailure("truncated", f"'{line.strip()[:120]}' is cut off")
        return None
    count = int(match[1])
    fields = {name: figure(value) for name, value in _FIELD.findall(match[2])}
    if count == 0:
        return None
    if not any(name in fields for name in _REQUIRED) and "curr" in fields:
        # The tool prints nothing else if all inferences took equally long.
        fields |= dict.fromkeys(("first", "min", "max", "avg"), fields["curr"]) | {"std": 0.0}
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise MeasurementFailure("truncated", f"the {count} runs lack {', '.join(missing)}")
    return _from_fields(count, fields)


def _from_fields(count: int, us: Mapping[str, float]) -> RunStatistics:
    ms = {name: value / US_PER_MS for name, value in us.items()}
    return RunStatistics(
        count=count,
        mean_ms=ms["avg"],
        first_ms=ms["first"],
        min_ms=ms["min"],
        max_ms=ms["max"],
        # TFLite divides by n.
        std_ms=ms["std"] * math.sqrt(count / (count - 1)) if count > 1 else None,
        median_ms=ms.get("median"),
    )
