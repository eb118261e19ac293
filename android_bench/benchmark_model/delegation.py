"""What a tool says of delegates: what was applied, what was refused, what it never heard of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What the tools and the delegates call themselves, by the names of agecompact's registry.
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
    r"(?:.*w/ (\d+) delegate kernels)?"
)
_NOT_AT_ALL = re.compile(r"Though (\w+) delegate is (?:explicitly )?applied, the model graph will")
_REPLACED = re.compile(
    r"Replacing (\d+) out of \d+ node\(s\) with delegate \((\w+)\) node, yielding (\d+) partitions"
)
_REFUSED = (
    re.compile(r"Failed to apply (\w+) delegate"),
    re.compile(r"(?i)\b(GPU|NNAPI|XNNPACK) (?:delegate|acceleration) (?:is )?(?:un|not )supported"),
    re.compile(r"(?i)(?:could ?n[o']t|failed to|cannot) create (?:\w+ )*?(GPU|NNAPI|XNNPACK)\b"),
)
_UNCONSUMED = re.compile(r"Unconsumed cmdline flags: *(.*\S)")
_FLAG = re.compile(r"--(\w+)")


@dataclass(frozen=True)
class Delegation:
    """What a tool said of delegates.

    Attributes:
        applied: Pieces of the graph that each delegate took, by registry name; 0 took nothing, None
            took part of it in an unknown number of pieces.
        refused: What was said of those that could not be had, by registry name.
        unconsumed: Names of the flags that the tool does not know and went on without.
    """

    applied: Mapping[str, int | None]
    refused: Mapping[str, str]
    unconsumed: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of the delegate that was asked for.

    Attributes:
        got: Registry name of what took part of the graph, `none` for the runtime's own kernels;
            None where nothing is said of it.
        partitions: Pieces it took, where they were told.
        refusal: Why it is not what was asked for; None where it is, or nobody says.
    """

    got: str | None
    partitions: int | None = None
    refusal: str | None = None


def find(lines: Sequence[str]) -> Delegation:
    """What the lines of a log say of delegates."""
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
    return Delegation(applied, refused, tuple(unconsumed))


def _named(word: str) -> str:
    return _NAMES.get(word.lower(), word.lower())


def settle(asked: str, flags: Sequence[str], told: Delegation) -> Outcome:
    """What became of the delegate that was asked for.

    Args:
        asked: Its registry name, or `none`.
        flags: Names of the flags that asked for it.
        told: What the tool said.
    """
    took = {name: pieces for name, pieces in told.applied.items() if pieces != 0}
    instead = next((name for name in took if name != asked), "none")
    ignored = [flag for flag in flags if flag in told.unconsumed]
    if ignored:
        return Outcome(instead, refusal=f"the tool does not know --{', --'.join(ignored)}")
    if asked in told.refused:
        return Outcome(instead, refusal=told.refused[asked])
    if asked == "none":
        return Outcome(instead, took.get(instead))
    if asked in took:
        return Outcome(asked, took[asked])
    if told.applied.get(asked) == 0:
        return Outcome(instead, 0, f"{asked} was applied and took no piece of the graph")
    return Outcome(None if instead == "none" else instead)
