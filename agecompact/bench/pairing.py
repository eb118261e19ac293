"""Latency as a ratio to the reference's in the same rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agecompact.artifacts.manifest import Build
from agecompact.bench import statistics
from agecompact.bench.files import reference_of
from agecompact.bench.record import Record
from agecompact.bench.timing import Ratio


@dataclass(frozen=True)
class TimedRounds:
    """The times of an artefact that ran in every round.

    Attributes:
        record: The artefact, its threads and its batch size.
        rounds_ms: The samples of each round, or one statistic in their place.
    """

    record: Record
    rounds_ms: Sequence[Sequence[float]]


def variant_of(record: Record) -> tuple[int, int]:
    """Threads and batch size of a record."""
    return record.runtime.threads or 1, record.runtime.batch


def is_reference(build: Build, record: Record, threads: int) -> bool:
    """Whether a record is of the artefact that ratios refer to.

    Args:
        build: Its build.
        record: The record.
        threads: The lowest thread count that is measured.
    """
    is_reference_file = record.artifact.file == reference_of(build)
    return is_reference_file and variant_of(record) == (threads, 1)


def reference(build: Build, timed: Iterable[TimedRounds], threads: int) -> TimedRounds | None:
    """The times of the model's float32 TFLite file at batch 1; None if it did not run.

    Args:
        build: The build.
        timed: What ran.
        threads: The lowest thread count that was measured.
    """
    return next((each for each in timed if is_reference(build, each.record, threads)), None)


def ratio(timed: TimedRounds, reference: TimedRounds | None) -> Ratio | None:
    """Latency per face over the reference's; None without a reference.

    Raises:
        ValueError: They did not run in the same rounds.
    """
    if reference is None:
        return None
    median, interval = statistics.paired_ratio(timed.rounds_ms, reference.rounds_ms)
    _, batch = variant_of(timed.record)
    return Ratio(
        reference=reference.record.artifact.file,
        reference_sha256=reference.record.artifact.sha256,
        reference_threads=variant_of(reference.record)[0],
        median=median / batch,
        low=interval.low / batch if interval else None,
        high=interval.high / batch if interval else None,
    )
