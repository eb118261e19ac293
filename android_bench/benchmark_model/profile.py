"""Parses time by op: the CSV that `benchmark_model` writes with `--enable_op_profiling`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agecompact.bench.figures import OpTime
from agecompact.errors import UsageError
from android_bench.failure import MeasurementFailure

_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs"
_TABLE = "Run Order"
_NUMBER = re.compile(r"[0-9.e+-]+%?")
# Newer tools no longer print when each op starts.
_REQUIRED = ("node type", "avg_ms", "times called", "name")


def parse(text: str, unit: str = "cpu") -> tuple[OpTime, ...]:
    """Parses the profile of the timed runs, longest op first.

    It skips the profile of the initialisation, which comes first, and the tables by type of op,
    which repeat the same times.

    Args:
        text: Content of the file.
        unit: Where the ops ran.

    Raises:
        MeasurementFailure: The table is missing or truncated.
    """
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _SECTION in line), None)
    if start is None:
        raise MeasurementFailure("truncated", f"the profile lacks '{_SECTION}'")
    table = next((i for i in range(start, len(lines)) if _TABLE in lines[i]), None)
    if table is None or table + 1 >= len(lines):
        raise MeasurementFailure("truncated", f"the profile lacks its table '{_TABLE}'")
    header = [word.strip() for word in lines[table + 1].split(",")]
    if missing := [name for name in _REQUIRED if name not in header]:
        raise MeasurementFailure("truncated", f"the profile's table lacks {', '.join(missing)}")
    ops = [_op(row, unit) for row in _rows(lines[table + 2 :], header)]
    return tuple(sorted(ops, key=lambda op: (-op.mean_ms, op.name)))


def _rows(lines: Sequence[str], header: Sequence[str]) -> list[Mapping[str, str]]:
    """Rows up to the empty line that ends a table."""
    rows: list[Mapping[str, str]] = []
    for line in lines:
        if not line.strip():
            return rows
        rows.append(dict(zip(header, _cells(line, len(header) - 2), strict=False)))
    raise MeasurementFailure("truncated", "the profile ends within its table")


def _cells(line: str, numbers: int) -> list[str]:
    """Type, numbers and name: nothing is quoted, and types and names may hold commas."""
    words = line.split(", ")
    for first in range(1, len(words) - numbers + 1):
        cells = words[first : first + numbers]
        if all(_NUMBER.fullmatch(word) for word in cells):
            return [", ".join(words[:first]), *cells, ", ".join(words[first + numbers :])]
    return words


def _op(row: Mapping[str, str], unit: str) -> OpTime:
    try:
        mean_ms, runs = float(row["avg_ms"]), float(row["times called"])
        return OpTime(
            name=row["name"] or row["node type"],
            kind=row["node type"],
            runs=max(1, round(runs)),
            mean_ms=mean_ms,
            unit=unit,
        )
    # An infinite number of runs cannot be rounded; an op's time has bounds.
    except (KeyError, ValueError, OverflowError, UsageError):
        raise MeasurementFailure("truncated", f"the profile's row {dict(row)}") from None
