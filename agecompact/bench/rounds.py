"""Alternating rounds: in each round every contestant runs once, in turn.

A machine that slows down slows them all, so the ratio of two latencies of the same round holds even
where absolute times drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from agecompact.bench.record import Record

_Contestant = TypeVar("_Contestant")


def alternate(
    contestants: Sequence[_Contestant],
    rounds: Iterable[int],
    run_round: Callable[[_Contestant, int], Record | None],
) -> dict[_Contestant, Record]:
    """Runs the contestants round by round; one that fails drops out.

    Args:
        contestants: What is measured, in the order of a round.
        rounds: The number of each round.
        run_round: Runs one contestant in the round of that number. Returns None, or a record that
            holds the reason for its failure.

    Returns:
        The records of those that dropped out, by contestant.
    """
    failures: dict[_Contestant, Record] = {}
    for number in rounds:
        for contestant in contestants:
            if contestant in failures:
                continue
            failure = run_round(contestant, number)
            if failure is not None:
                failures[contestant] = failure
    return failures
