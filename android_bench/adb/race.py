"""Artefacts that take turns on a device: A B A B ..., each round in a process of its own.

A phone grows hot and slows down within minutes, so that of files that run one after the other the
last looks slow. Files that take turns are slowed down together, and their ratio stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agecompact.bench.record import Record
from android_bench.adb.engine import Plan, Subject
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Key, Ledger


@dataclass(eq=False)
class Entrant:
    """An artefact with so many threads, in a race.

    Attributes:
        subject: The artefact.
        plan: How it is run in a round.
        blank: Its record, of which nothing is known yet but what it is.
        key: What the ledger knows it by.
        rounds: Its rounds so far.
        failure: Its record, once it is out of the race.
        cut_off: Whether it is out because the device left, which is not its fault.
    """

    subject: Subject
    plan: Plan
    blank: Record
    key: Key
    rounds: list[Record] = field(default_factory=list)
    failure: Record | None = None
    cut_off: bool = False


# Runs one round of an entrant, of the number given, and gives its record.
Take = Callable[[Entrant, int], Record]


def run(entrants: Sequence[Entrant], rounds: int, take: Take, ledger: Ledger | None) -> None:
    """Runs the rounds that are still to be run; each ends in the entrant, and in the ledger.

    A race that was cut off goes on with the round in which it was: all of that round is run again,
    for what was not taken in the same round does not compare.

    Args:
        entrants: What races.
        rounds: How many rounds there are in all.
        take: Runs one round. What it raises as `AdbFailure` is told of a device that left.
        ledger: What was run already, and what is to be kept; None keeps nothing.
    """
    if ledger is not None:
        _recall(entrants, ledger)
    started = min((len(e.rounds) for e in entrants if e.failure is None), default=rounds)
    for entrant in entrants:
        del entrant.rounds[started:]
    for number in range(started, rounds):
        for entrant in entrants:
            if entrant.failure is None:
                _take_round(entrant, number, take, ledger)


def _recall(entrants: Sequence[Entrant], ledger: Ledger) -> None:
    for entrant in entrants:
        # The same bytes may have another name by now.
        rounds = [replace(r, artifact=entrant.blank.artifact) for r in ledger.rounds(entrant.key)]
        entrant.rounds = rounds
        if rounds and rounds[-1].failure is not None:
            entrant.failure = rounds.pop()


def _take_round(entrant: Entrant, number: int, take: Take, ledger: Ledger | None) -> None:
    try:
        record = take(entrant, number)
    except AdbFailure as gone:
        entrant.failure = replace(entrant.blank, failure=gone.reason)
        entrant.cut_off = True
        return
    if record.failure is not None:
        entrant.failure = record
    else:
        entrant.rounds.append(record)
    if ledger is not None:
        ledger.add_round(entrant.key, number, record)
