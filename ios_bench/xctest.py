"""XCTest's own figures out of a log of `swift test` or `xcodebuild test`: average and deviation.

They stand beside the record, never in it: ten values of a test are no p90.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass

from agecompact.errors import UsageError

_LINE = re.compile(
    r"Test Case '(?P<test>[^']+)' measured \[(?P<metric>[^\]]+), (?P<unit>[^,\]]+)\] "
    r"average: (?P<average>[\d.]+), relative standard deviation: (?P<deviation>[\d.]+)%, "
    r"values: \[(?P<values>[^\]]*)\]"
)
_MARK = "' measured ["


@dataclass(frozen=True)
class Measured:
    """One metric of one test.

    Attributes:
        test: Such as `-[Module.Class test]`, or `Class.test` off Apple's systems.
        metric: Such as `Time` or `Clock Monotonic Time`.
        unit: Of the average and the values, as XCTest spells it: `seconds`, `s`, `kB`, ...
        average: Mean of the values.
        relative_standard_deviation_percent: Of the values.
        values: One an iteration.
    """

    test: str
    metric: str
    unit: str
    average: float
    relative_standard_deviation_percent: float
    values: tuple[float, ...]


def parse(text: str) -> tuple[Measured, ...]:
    """Every figure of a log, in order.

    Args:
        text: The log.

    Raises:
        UsageError: A line with a figure is not whole.
    """
    return tuple(_line(line) for line in text.splitlines() if _MARK in line)


def _line(line: str) -> Measured:
    found = _LINE.search(line)
    if found is None:
        raise UsageError("a figure of XCTest is cut off", why=line.strip()[:120])
    try:
        values = tuple(float(value) for value in found["values"].split(","))
        return Measured(
            found["test"],
            found["metric"],
            found["unit"],
            float(found["average"]),
            float(found["deviation"]),
            values,
        )
    except ValueError as error:
        raise UsageError("a figure of XCTest is no number", why=str(error)) from None


if __name__ == "__main__":
    for told in parse(sys.stdin.read()):
        print(json.dumps(asdict(told)))
