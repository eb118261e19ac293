"""The rounds of one artefact, each a process of its own, as a single record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from agecompact.bench import statistics
from agecompact.bench.circumstances import Conditions, Runtime
from agecompact.bench.figures import Memory, OutputAccuracy
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from android_bench.adb import heat

_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)


def rounds_ms(rounds: Sequence[Record]) -> tuple[tuple[float, ...], ...]:
    """Of each round its samples, or its median, or its mean where a tool tells no more."""
    told = [r.latency for r in rounds if r.latency is not None]
    return tuple(t.samples_ms or (t.p50_ms or t.mean_ms,) for t in told)


def pooled(rounds: Sequence[Record]) -> Record:
    """One record of all rounds; a fault in any of them is in it.

    Args:
        rounds: Records of the same artefact with figures, in the order taken; one at least.
    """
    if len(rounds) == 1:
        return rounds[0]
    # Only the last round is profiled, and only it says why there is no profile.
    last = rounds[-1]
    return replace(
        last,
        runtime=_runtime([r.runtime for r in rounds]),
        latency=_latency(_told(r.latency for r in rounds)),
        startup=_startup(_told(r.startup for r in rounds)),
        memory=_memory(_told(r.memory for r in rounds)),
        conditions=_conditions(_told(r.conditions for r in rounds)),
        output_error=_worst_error(_told(r.output_error for r in rounds)),
        unknown={name: text for r in rounds for name, text in (r.unknown or {}).items()} or None,
        taken_at=rounds[0].taken_at,
    )


def _told(values: Iterable[_T | None]) -> list[_T]:
    return [value for value in values if value is not None]


def _of(
    choose: Callable[[list[_Number]], _Number], values: Iterable[_Number | None]
) -> _Number | None:
    """What to make of the values that are known; None where none is."""
    known = _told(values)
    return choose(known) if known else None


def _runtime(rounds: Sequence[Runtime]) -> Runtime:
    """That of the first round whose delegate was refused, or of the first."""
    refused = (r for r in rounds if r.delegate and r.delegate.got != r.delegate.asked)
    return next(refused, rounds[0])


def _latency(rounds: Sequence[Latency]) -> Latency:
    elapsed_s = [r.elapsed_s for r in rounds]
    whole_s = sum(_told(elapsed_s)) if None not in elapsed_s else None
    warmup_runs = _of(min, (r.warmup_runs for r in rounds))
    samples_ms = [r.samples_ms for r in rounds]
    if None not in samples_ms:
        every = tuple(sample for taken in _told(samples_ms) for sample in taken)
        return Latency.of(every, warmup_runs=warmup_runs, rounds=len(rounds), elapsed_s=whole_s)
    medians = [r.p50_ms for r in rounds]
    counts, means_ms = [r.timed_runs for r in rounds], [r.mean_ms for r in rounds]
    return Latency(
        warmup_runs=warmup_runs,
        timed_runs=sum(counts),
        mean_ms=statistics.pooled_mean(counts, means_ms),
        p50_ms=_of(statistics.median, medians) if None not in medians else None,
        std_ms=statistics.pooled_std(counts, means_ms, [r.std_ms for r in rounds]),
        min_ms=_of(min, (r.min_ms for r in rounds)),
        max_ms=_of(max, (r.max_ms for r in rounds)),
        rounds=len(rounds),
        elapsed_s=whole_s,
    )


def _startup(rounds: Sequence[Startup]) -> Startup | None:
    if not rounds:
        return None
    names = [field.name for field in fields(Startup)]
    return Startup(
        **{name: _of(statistics.median, (getattr(r, name) for r in rounds)) for name in names}
    )


def _memory(rounds: Sequence[Memory]) -> Memory | None:
    if not rounds:
        return None
    names = [field.name for field in fields(Memory)]
    return Memory(**{name: _of(max, (getattr(r, name) for r in rounds)) for name in names})


def _conditions(rounds: Sequence[Conditions]) -> Conditions | None:
    if not rounds:
        return None
    governors = {r.governor for r in rounds if r.governor}
    saving = _told(r.low_power_mode for r in rounds)
    # A clock that was lowered between two rounds, and raised again, still lay below some samples.
    later = [reading for r in rounds for reading in (r.before, r.after)][1:]
    return Conditions(
        governor=", ".join(sorted(governors)) or None,
        max_frequency_mhz=_of(min, (r.max_frequency_mhz for r in rounds)),
        low_power_mode=any(saving) if saving else None,
        load_average=_of(max, (r.load_average for r in rounds)),
        before=rounds[0].before,
        after=heat.worst(_told(later)),
    )


def _worst_error(rounds: Sequence[OutputAccuracy]) -> OutputAccuracy | None:
    def badness(error: OutputAccuracy) -> tuple[int, float]:
        return error.not_finite, error.max_error or 0.0

    return max(rounds, key=badness, default=None)
