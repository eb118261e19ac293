"""Time by op: the CSV that `benchmark_model` writes with `--enable_op_profiling`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agecompact.bench.figures import OpTime
from android_bench.benchmark_model.failure import UnreadableOutputError

_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs"
_TABLE = "Run Order"
# Newer tools left out the start of each op.
_FIGURE = re.compile(r"[0-9.e+-]+%?")
_NEEDED = ("node type", "avg_ms", "times called", "name")


def parse(text: str, unit: str = "cpu") -> tuple[OpTime, ...]:
    """Reads the profile of the timed runs, the longest op first.

    The profile of the initialisation, which comes first, and the tables by kind of op, which say
    the same again, are passed over.

    Args:
        text: Content of the file.
        unit: Where the ops ran.

    Raises:
        UnreadableOutputError: The table is missing or cut off.
    """
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _SECTION in line), None)
    if start is None:
        raise UnreadableOutputError("truncated", f"the profile lacks '{_SECTION}'")
    table = next((i for i in range(start, len(lines)) if _TABLE in lines[i]), None)
    if table is None or table + 1 >= len(lines):
        raise UnreadableOutputError("truncated", f"the profile lacks its table '{_TABLE}'")
    header = [word.strip() for word in lines[table + 1].split(",")]
    if missing := [name for name in _NEEDED if name not in header]:
        raise UnreadableOutputError("truncated", f"the profile's table lacks {', '.join(missing)}")
    rows = _rows(lines[table + 2 :], header)
    if rows is None:
        raise UnreadableOutputError("truncated", "the profile ends within its table")
    ops = [_op(row, unit) for row in rows]
    return tuple(sorted(ops, key=lambda op: (-op.mean_ms, op.name)))


def _rows(lines: Sequence[str], header: Sequence[str]) -> list[Mapping[str, str]] | None:
    """Rows down to the empty line that ends a table; None without one."""
    rows: list[Mapping[str, str]] = []
    for line in lines:
        if not line.strip():
            return rows
        rows.append(dict(zip(header, _cells(line, len(header) - 2), strict=False)))
    return None


def _cells(line: str, figures: int) -> list[str]:
    """Kind, figures and name: nothing is quoted, and commas stand in kinds and names alike."""
    words = line.split(", ")
    for first in range(1, len(words) - figures + 1):
        taken = words[first : first + figures]
        if all(_FIGURE.fullmatch(word) for word in taken):
            return [", ".join(words[:first]), *taken, ", ".join(words[first + figures :])]
    return words


def _op(row: Mapping[str, str], unit: str) -> OpTime:
    try:
        mean_ms, runs = float(row["avg_ms"]), float(row["times called"])
    except (KeyError, ValueError):
        raise UnreadableOutputError("truncated", f"the profile's row {dict(row)}") from None
    return OpTime(
        name=row["name"] or row["node type"],
        kind=row["node type"],
        runs=max(1, round(runs)),
        mean_ms=mean_ms,
        unit=unit,
    )
