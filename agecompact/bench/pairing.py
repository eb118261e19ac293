"""Artefacts that took turns, round by round, and their latency as a ratio to the reference's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agecompact.artifacts.manifest import Build
from agecompact.bench import statistics
from agecompact.bench.files import reference_of
from agecompact.bench.record import Record
from agecompact.bench.timing import Ratio


@dataclass(frozen=True)
class Paired:
    """An artefact that ran in every round.

    Attributes:
        record: Which one, on how many threads, with how many faces an inference.
        rounds_ms: Of each round, its samples, or the one figure that stands for them.
    """

    record: Record
    rounds_ms: Sequence[Sequence[float]]

    @property
    def variant(self) -> tuple[int, int]:
        """Its threads, and faces an inference."""
        return variant_of(self.record)


def variant_of(record: Record) -> tuple[int, int]:
    """Threads, and faces an inference."""
    return record.runtime.threads or 1, record.runtime.batch


def is_reference(build: Build, record: Record, threads: int) -> bool:
    """Whether a record is of what ratios are to.

    Args:
        build: Its build.
        record: The record.
        threads: The fewest that are measured.
    """
    named = record.artifact.file == reference_of(build)
    return named and variant_of(record) == (threads, 1)


def reference(build: Build, paired: Iterable[Paired], threads: int) -> Paired | None:
    """The model's float32 TFLite file, one face an inference; None if it did not run.

    Args:
        build: The build.
        paired: What ran.
        threads: The fewest that were measured.
    """
    return next((p for p in paired if is_reference(build, p.record, threads)), None)


def ratio(mine: Paired, theirs: Paired | None) -> Ratio | None:
    """Latency a face over the reference's; None without a reference.

    Raises:
        ValueError: They did not run in the same rounds.
    """
    if theirs is None:
        return None
    told = statistics.paired_ratio(mine.rounds_ms, theirs.rounds_ms)
    _, batch = mine.variant
    return Ratio(
        reference=theirs.record.artifact.file,
        reference_sha256=theirs.record.artifact.sha256,
        reference_threads=theirs.variant[0],
        median=told.median / batch,
        low=told.interval.low / batch if told.interval else None,
        high=told.interval.high / batch if told.interval else None,
    )
