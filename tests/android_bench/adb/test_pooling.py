"""Rounds merged into one record, with the faults of each."""

from dataclasses import replace

import pytest

from agecompact.bench.circumstances import Conditions, Thermal
from agecompact.bench.figures import Memory
from agecompact.bench.timing import Latency, Startup
from agecompact.bench.validity import validated
from android_bench.adb import pooling
from tests import records

_COOL = Thermal(status="none", cpu_frequency_mhz=2800.0)


def _round(samples_ms=(1.0,) * 20, after=_COOL, **changed):
    return replace(
        records.DEVICE,
        latency=Latency.of(tuple(samples_ms), warmup_runs=5, elapsed_s=1.0),
        conditions=Conditions(before=_COOL, after=after),
        **changed,
    )


def _summarised(**changed):
    """A round of a tool that reports no samples."""
    ms = {"mean_ms": 1.0, "p50_ms": 1.0, "std_ms": 0.1, "min_ms": 0.9, "max_ms": 1.5}
    latency = Latency(warmup_runs=5, timed_runs=20, elapsed_s=1.0, **{**ms, **changed})
    return replace(records.DEVICE, latency=latency)


def test_samples_of_all_rounds_are_one_latency():
    latency = pooling.pooled([_round((1.0, 2.0)), _round((3.0, 4.0)), _round((5.0,))]).latency
    assert latency.samples_ms == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert (latency.rounds, latency.timed_runs, latency.warmup_runs) == (3, 5, 5)
    assert (latency.elapsed_s, latency.p50_ms) == (3.0, 3.0)


def test_statistics_of_all_rounds_are_one_latency():
    rounds = [_summarised(), _summarised(mean_ms=1.2, p50_ms=1.1, max_ms=2.5)]
    latency = pooling.pooled(rounds).latency
    assert (latency.rounds, latency.timed_runs, latency.samples_ms) == (2, 40, None)
    assert (latency.mean_ms, latency.p50_ms) == pytest.approx((1.1, 1.05))
    assert (latency.min_ms, latency.max_ms) == (0.9, 2.5)
    # 0.1 within each round, and means 0.1 away from the common one.
    assert latency.std_ms == pytest.approx(0.1414, rel=0.02)
    assert pooling.pooled([_summarised(), _summarised(p50_ms=None)]).latency.p50_ms is None


def test_a_round_is_its_samples_or_a_statistic():
    rounds = [_round((1.0, 2.0)), _summarised(p50_ms=1.1), _summarised(p50_ms=None, mean_ms=1.3)]
    assert pooling.rounds_ms(rounds) == ((1.0, 2.0), (1.1,), (1.3,))


def test_a_single_round_is_unchanged():
    record = _round()
    assert pooling.pooled([record]) == record
    assert pooling.pooled([record]).latency.rounds is None


def test_startup_is_the_median_and_memory_the_peak():
    rounds = [
        _round(startup=Startup(init_ms=init), memory=Memory(peak_rss_bytes=peak))
        for init, peak in ((5.0, 10), (1.0, 30), (2.0, 20))
    ]
    record = pooling.pooled(rounds)
    assert record.startup == Startup(init_ms=2.0)
    assert record.memory == Memory(peak_rss_bytes=30)


_HOT = Thermal(status="severe", cpu_frequency_mhz=2800.0)
_SLOW = Thermal(status="none", cpu_frequency_mhz=1200.0)
_FAULTS = {
    "hot": (_round(after=_HOT), "throttled"),
    "a lower clock": (_round(after=_SLOW), "throttled"),
    "a battery saver": (
        replace(_round(), conditions=Conditions(low_power_mode=True)),
        "low-power",
    ),
    "another delegate": (
        _round(runtime=replace(records.RUNTIME, delegate=replace(records.XNNPACK, got="none"))),
        "delegate-refused",
    ),
    "a wrong output": (
        _round(output_error=replace(records.OUTPUT_ERROR, max_error=9.0)),
        "wrong-output",
    ),
    "an output that is not finite": (
        _round(
            output_error=replace(
                records.OUTPUT_ERROR, max_error=None, mean_error=None, not_finite=1
            )
        ),
        "wrong-output",
    ),
    "no warm-up": (
        replace(_round(), latency=Latency.of((1.0,) * 20, warmup_runs=0)),
        "no-warmup",
    ),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_of_one_round_is_a_fault_of_the_record(fault):
    faulty, rule = _FAULTS[fault]
    assert validated(pooling.pooled([_round(), _round(), _round()])).valid
    record = validated(pooling.pooled([_round(), faulty, _round()]))
    assert rule in {reason.rule for reason in record.reasons}


def test_rounds_that_slow_down_are_found():
    rounds = [_round((1.0 + 0.1 * n,) * 20) for n in range(4)]
    assert "slowed-down" in {r.rule for r in validated(pooling.pooled(rounds)).reasons}
