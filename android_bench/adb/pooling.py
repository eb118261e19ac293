"""Merges the rounds of an artefact, each from a process of its own, into one record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from statistics import median
from typing import Any, TypeVar

from agecompact.bench import statistics
from agecompact.bench.circumstances import Conditions, Runtime, Thermal, ThermalStatus
from agecompact.bench.figures import Memory, OutputAccuracy
from agecompact.bench.record import Record
from agecompact.bench.timing import Latency, Startup
from android_bench.adb.conditions import STATUSES

_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)
_Figures = TypeVar("_Figures", Startup, Memory)


def rounds_ms(rounds: Sequence[Record]) -> tuple[tuple[float, ...], ...]:
    """The samples of each round, or its median or mean if the tool keeps no samples."""
    latencies = _known(r.latency for r in rounds)
    return tuple(each.samples_ms or (each.p50_ms or each.mean_ms,) for each in latencies)


def pooled(rounds: Sequence[Record]) -> Record:
    """One record of all rounds; a fault of any round is a fault of the record.

    Args:
        rounds: Records of the same artefact without failures, in order; at least one.
    """
    if len(rounds) == 1:
        return rounds[0]
    # The last round holds the profile, or the reason why there is none.
    return replace(
        rounds[-1],
        runtime=_runtime([r.runtime for r in rounds]),
        latency=_latency(_known(r.latency for r in rounds)),
        startup=_by_field(Startup, median, _known(r.startup for r in rounds)),
        memory=_by_field(Memory, max, _known(r.memory for r in rounds)),
        conditions=_conditions(_known(r.conditions for r in rounds)),
        output_error=_worst_accuracy(_known(r.output_error for r in rounds)),
        unknown={name: text for r in rounds for name, text in (r.unknown or {}).items()} or None,
        taken_at=rounds[0].taken_at,
    )


def _known(values: Iterable[_T | None]) -> list[_T]:
    return [value for value in values if value is not None]


def _reduced(
    reduce: Callable[[list[_Number]], _Number], values: Iterable[_Number | None]
) -> _Number | None:
    """Reduces the known values to one; None if there are none."""
    known = _known(values)
    return reduce(known) if known else None


def _runtime(rounds: Sequence[Runtime]) -> Runtime:
    """That of the first round whose delegate was refused, or of the first round."""
    refused = (r for r in rounds if r.delegate and r.delegate.got != r.delegate.asked)
    return next(refused, rounds[0])


def _latency(rounds: Sequence[Latency]) -> Latency:
    elapsed_s = [r.elapsed_s for r in rounds]
    total_s = sum(_known(elapsed_s)) if None not in elapsed_s else None
    warmup_runs = _reduced(min, (r.warmup_runs for r in rounds))
    samples_ms = [r.samples_ms for r in rounds]
    if None not in samples_ms:
        joined = tuple(sample for samples in _known(samples_ms) for sample in samples)
        return Latency.of(joined, warmup_runs=warmup_runs, rounds=len(rounds), elapsed_s=total_s)
    medians = [r.p50_ms for r in rounds]
    counts, means_ms = [r.timed_runs for r in rounds], [r.mean_ms for r in rounds]
    return Latency(
        warmup_runs=warmup_runs,
        timed_runs=sum(counts),
        mean_ms=statistics.pooled_mean(counts, means_ms),
        p50_ms=_reduced(median, medians) if None not in medians else None,
        std_ms=statistics.pooled_std(counts, means_ms, [r.std_ms for r in rounds]),
        min_ms=_reduced(min, (r.min_ms for r in rounds)),
        max_ms=_reduced(max, (r.max_ms for r in rounds)),
        rounds=len(rounds),
        elapsed_s=total_s,
    )


def _by_field(
    kind: type[_Figures], reduce: Callable[[list[Any]], Any], rounds: Sequence[_Figures]
) -> _Figures | None:
    """Reduces each field of the rounds; None if there are none."""
    if not rounds:
        return None
    names = [field.name for field in fields(kind)]
    return kind(**{name: _reduced(reduce, (getattr(r, name) for r in rounds)) for name in names})


def _conditions(rounds: Sequence[Conditions]) -> Conditions | None:
    if not rounds:
        return None
    governors = {r.governor for r in rounds if r.governor}
    low_power = _known(r.low_power_mode for r in rounds)
    # A clock that was lower between two rounds affected some samples, even if it recovered.
    later = [reading for r in rounds for reading in (r.before, r.after)][1:]
    return Conditions(
        governor=", ".join(sorted(governors)) or None,
        max_frequency_mhz=_reduced(min, (r.max_frequency_mhz for r in rounds)),
        low_power_mode=any(low_power) if low_power else None,
        load_average=_reduced(max, (r.load_average for r in rounds)),
        before=rounds[0].before,
        after=_worst(_known(later)),
    )


def _worst(readings: Sequence[Thermal]) -> Thermal | None:
    if not readings:
        return None
    statuses: list[ThermalStatus] = _known(r.status for r in readings)
    return Thermal(
        status=max(statuses, key=STATUSES.index, default=None),
        battery_temperature_c=_reduced(max, (r.battery_temperature_c for r in readings)),
        cpu_temperature_c=_reduced(max, (r.cpu_temperature_c for r in readings)),
        cpu_frequency_mhz=_reduced(min, (r.cpu_frequency_mhz for r in readings)),
    )


def _worst_accuracy(rounds: Sequence[OutputAccuracy]) -> OutputAccuracy | None:
    def badness(accuracy: OutputAccuracy) -> tuple[int, float]:
        return accuracy.not_finite, accuracy.max_error or 0.0

    return max(rounds, key=badness, default=None)
