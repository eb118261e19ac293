"""What a tool logs about delegates: which were applied, which refused, which flags it ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Names that the tools print, and their names in `adb.delegates`.
_NAMES: Mapping[str, str] = {
    "xnnpack": "xnnpack",
    "tflitexnnpackdelegate": "xnnpack",
    "gpu": "gpu",
    "tflitegpudelegate": "gpu",
    "tflitegpudelegatev2": "gpu",
    "litert_cl": "gpu",
    "litert_gl": "gpu",
    "nnapi": "nnapi",
    "tflitennapidelegate": "nnapi",
}

_COMPLETELY = re.compile(
    r"(?:Explicitly applied|Applied) (\w+) delegate, and the model graph will be completely"
)
_PARTIALLY = re.compile(
    r"(?:Explicitly applied|Applied) (\w+) delegate, and the model graph will be partially"
    r"(?:.*w/ (\d{1,9}) delegate kernels)?"
)
_NOT_AT_ALL = re.compile(r"Though (\w+) delegate is (?:explicitly )?applied, the model graph will")
_REPLACED = re.compile(
    r"Replacing (\d{1,9}) out of \d{1,9} node\(s\) with delegate \((\w+)\) node, "
    r"yielding (\d{1,9}) partitions"
)
_REFUSED = (
    re.compile(r"Failed to apply (\w+) delegate"),
    re.compile(r"(?i)\b(GPU|NNAPI|XNNPACK) (?:delegate|acceleration) (?:is )?(?:un|not )supported"),
    re.compile(r"(?i)(?:could ?n[o']t|failed to|cannot) create (?:\w+ )*?(GPU|NNAPI|XNNPACK)\b"),
)
_UNCONSUMED = re.compile(r"Unconsumed cmdline flags: *(.*\S)")
_FLAG = re.compile(r"--(\w+)")


@dataclass(frozen=True)
class DelegateLog:
    """What a tool logged about delegates.

    Attributes:
        applied: Partitions of the graph that each delegate took, by delegate; 0 if it took nothing,
            None if the number is unknown.
        refused: The line that refused a delegate, by delegate.
        unconsumed: Names of the flags that the tool does not know and ignored.
    """

    applied: Mapping[str, int | None]
    refused: Mapping[str, str]
    unconsumed: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of the requested delegate.

    Attributes:
        got: The delegate that took part of the graph, `none` for the runtime's own kernels; None if
            unknown.
        partitions: Partitions that it took; None if unknown.
        refusal: Why it is not the requested one; None if it is, or if the reason is unknown.
    """

    got: str | None
    partitions: int | None = None
    refusal: str | None = None


def find(lines: Sequence[str]) -> DelegateLog:
    """What the lines of a log say about delegates."""
    applied: dict[str, int | None] = {}
    refused: dict[str, str] = {}
    unconsumed: list[str] = []
    for line in lines:
        if (match := _REPLACED.search(line)) and int(match[1]) > 0:
            applied[_named(match[2])] = int(match[3])
        elif match := _COMPLETELY.search(line):
            applied[_named(match[1])] = 1
        elif match := _PARTIALLY.search(line):
            known = applied.get(_named(match[1]))
            applied[_named(match[1])] = int(match[2]) if match[2] else known
        elif match := _NOT_AT_ALL.search(line):
            applied[_named(match[1])] = 0
        elif match := _UNCONSUMED.search(line):
            unconsumed += _FLAG.findall(match[1])
        for pattern in _REFUSED:
            if match := pattern.search(line):
                refused.setdefault(_named(match[1]), line.strip())
    return DelegateLog(applied, refused, tuple(unconsumed))


def _named(word: str) -> str:
    return _NAMES.get(word.lower(), word.lower())


def outcome_of(requested: str, flags: Sequence[str], log: DelegateLog) -> Outcome:
    """What became of the requested delegate.

    Args:
        requested: Its name, or `none`.
        flags: Names of the flags that requested it.
        log: What the tool logged.
    """
    partitions = {name: count for name, count in log.applied.items() if count != 0}
    instead = next((name for name in partitions if name != requested), "none")
    ignored = [flag for flag in flags if flag in log.unconsumed]
    if ignored:
        return Outcome(instead, refusal=f"the tool does not know --{', --'.join(ignored)}")
    if requested in log.refused:
        return Outcome(instead, refusal=log.refused[requested])
    if requested == "none":
        return Outcome(instead, partitions.get(instead))
    if requested in partitions:
        return Outcome(requested, partitions[requested])
    if log.applied.get(requested) == 0:
        return Outcome(instead, 0, f"{requested} was applied and took no part of the graph")
    return Outcome(None if instead == "none" else instead)
