"""The `count=50 first=... avg=... std=...` lines, of which every run prints two."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from android_bench.benchmark_model.failure import UnreadableOutputError

US_PER_MS = 1e3

# C++ streams six digits, so that a mean of seconds reads 1.29563e+06.
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"

_LINE = re.compile(r"\bcount=([0-9]+)((?: \w+=\S+)*)\s*$")
_FIELD = re.compile(rf"(\w+)=({NUMBER})(?=\s|$)")
_ALL_SAME = "(all same)"
_NEEDED = ("first", "min", "max", "avg", "std")


@dataclass(frozen=True, kw_only=True)
class RunStatistics:
    """What a tool tells of a row of inferences.

    Attributes:
        count: Inferences that were really made.
        mean_ms: Mean.
        first_ms: The first of them; None where the tool does not say.
        min_ms: Least, likewise.
        max_ms: Greatest, likewise.
        std_ms: Standard deviation with n - 1, likewise.
        p5_ms: 5th percentile, of the newest tools.
        median_ms: Median, likewise.
        p95_ms: 95th percentile, likewise.
    """

    count: int
    mean_ms: float
    first_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    p5_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None


def find(line: str) -> RunStatistics | None:
    """The statistics that a line of a log tells; None if it tells none.

    Args:
        line: One line, with whatever a logger put before it.

    Raises:
        UnreadableOutputError: It begins as such a line and lacks something.
    """
    match = _LINE.search(line.replace(_ALL_SAME, ""))
    if match is None:
        if re.search(r"\bcount=[0-9]+ ", line):
            raise UnreadableOutputError("truncated", f"'{line.strip()[:120]}' is cut off")
        return None
    count = int(match[1])
    fields = {name: float(value) for name, value in _FIELD.findall(match[2])}
    if count == 0:
        return None
    if not any(name in fields for name in _NEEDED) and "curr" in fields:
        return _all_same(count, fields["curr"] / US_PER_MS)
    if missing := [name for name in _NEEDED if name not in fields]:
        raise UnreadableOutputError(
            "truncated", f"the line of {count} runs lacks {', '.join(missing)}"
        )
    return _of_fields(count, fields)


def _all_same(count: int, value_ms: float) -> RunStatistics:
    # The tool leaves the rest out where every inference took as long.
    return RunStatistics(
        count=count,
        mean_ms=value_ms,
        first_ms=value_ms,
        min_ms=value_ms,
        max_ms=value_ms,
        std_ms=0.0 if count > 1 else None,
    )


def _of_fields(count: int, us: Mapping[str, float]) -> RunStatistics:
    def ms(name: str) -> float | None:
        return us[name] / US_PER_MS if name in us else None

    return RunStatistics(
        count=count,
        mean_ms=us["avg"] / US_PER_MS,
        first_ms=ms("first"),
        min_ms=ms("min"),
        max_ms=ms("max"),
        std_ms=_of_a_sample(us["std"] / US_PER_MS, count),
        p5_ms=ms("p5"),
        median_ms=ms("median"),
        p95_ms=ms("p95"),
    )


def _of_a_sample(std_ms: float, count: int) -> float | None:
    """TFLite divides by n; a record holds the deviation with n - 1."""
    return std_ms * math.sqrt(count / (count - 1)) if count > 1 else None
