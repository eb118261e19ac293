"""Alternating rounds on a device, which an interrupted run resumes from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agecompact.bench.files import BuildFile
from agecompact.bench.record import Record
from agecompact.bench.rounds import alternate
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Ledger, LedgerKey


@dataclass(eq=False)
class Contestant:
    """An artefact that is measured with one thread count.

    Attributes:
        file: The artefact.
        blank: Its record before the measurement, with the threads and cores to run it on.
        key: What the ledger knows it by.
        rounds: Its rounds so far.
        failure: Its record, if it dropped out.
        device_lost: Whether it dropped out because the device was lost.
    """

    file: BuildFile
    blank: Record
    key: LedgerKey
    rounds: list[Record] = field(default_factory=list)
    failure: Record | None = None
    device_lost: bool = False


# Runs the round of that number and returns its record.
MeasureRound = Callable[[Contestant, int], Record]


def run(
    contestants: Sequence[Contestant], rounds: int, measure: MeasureRound, ledger: Ledger | None
) -> None:
    """Runs the remaining rounds, and keeps each in its contestant and in the ledger.

    An interrupted run resumes with the round it was in, and repeats all of it: results of the same
    round are only comparable if they were measured together.

    Args:
        contestants: What is measured.
        rounds: All rounds, the finished ones included.
        measure: Runs one round. It raises `AdbFailure` only if the device was lost.
        ledger: The ledger; None keeps nothing.
    """
    if ledger is not None:
        _recall(contestants, ledger)

    def run_round(contestant: Contestant, number: int) -> Record | None:
        try:
            record = measure(contestant, number)
        except AdbFailure as failure:
            contestant.device_lost = True
            return replace(contestant.blank, failure=failure.reason)
        if record.failure is None:
            contestant.rounds.append(record)
        if ledger is not None:
            ledger.add_round(contestant.key, number, record)
        return record if record.failure is not None else None

    running = [each for each in contestants if each.failure is None]
    finished = min((len(each.rounds) for each in running), default=rounds)
    for each in contestants:
        del each.rounds[finished:]
    for contestant, failure in alternate(running, range(finished, rounds), run_round).items():
        contestant.failure = failure


def _recall(contestants: Sequence[Contestant], ledger: Ledger) -> None:
    for each in contestants:
        # The file may have been renamed since.
        each.rounds = [replace(r, artifact=each.blank.artifact) for r in ledger.rounds(each.key)]
        if each.rounds and each.rounds[-1].failure is not None:
            each.failure = each.rounds.pop()
