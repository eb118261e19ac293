"""Each rule finds its fault, and a good record passes them all."""

from dataclasses import replace

import pytest

from agecompact.bench.circumstances import Conditions, Thermal
from agecompact.bench.figures import Instructions
from agecompact.bench.timing import Latency
from agecompact.bench.validity import RULES, validated
from tests import records


def _timed(record, samples_ms, warmup_runs=1):
    return replace(record, latency=Latency.of(tuple(samples_ms), warmup_runs=warmup_runs))


def _counted(totals, threads=1):
    counted = Instructions(total=totals[0], totals=tuple(totals))
    runtime = replace(records.EMULATED.runtime, threads=threads)
    return replace(records.EMULATED, instructions=counted, runtime=runtime)


def _delegated(**changed):
    delegate = replace(records.XNNPACK, **changed)
    return replace(records.HOST, runtime=replace(records.RUNTIME, delegate=delegate))


def _heated(before=None, after=None):
    conditions = Conditions(before=before, after=after)
    return replace(records.DEVICE, conditions=conditions)


def _loaded(load_average):
    return replace(records.HOST, conditions=Conditions(load_average=load_average))


def _erring(**changed):
    return replace(records.HOST, output_error=replace(records.OUTPUT_ERROR, **changed))


def _without_samples(std_ms):
    latency = Latency(mean_ms=10.0, std_ms=std_ms, timed_runs=50, warmup_runs=1)
    return replace(records.DEVICE, latency=latency)


# Latencies of one phone.
_UNPINNED_MS = [27.0, 28.0, 30.0, 184.0, 225.0]

_FAULTS = {
    "not measured": (
        replace(records.HOST, latency=None, ratio=None, failure="missing: no Core ML"),
        "not-measured",
    ),
    "too few runs": (_timed(records.HOST, [1.0] * 29), "too-few-runs"),
    "one process": (_counted([1000]), "too-few-processes"),
    "no warm-up": (_timed(records.HOST, [1.0] * 30, warmup_runs=0), "no-warmup"),
    "an unknown warm-up": (
        _timed(records.HOST, [1.0] * 30, warmup_runs=None),
        "no-warmup",
    ),
    "unpinned cores": (
        _timed(records.DEVICE, _UNPINNED_MS * 6),
        "spread-too-wide",
    ),
    "a wide deviation without samples": (_without_samples(3.0), "spread-too-wide"),
    "an uncertain ratio": (
        replace(records.HOST, ratio=replace(records.RATIO, low=0.6, high=1.1)),
        "spread-too-wide",
    ),
    "an uncertain ratio of a device": (
        replace(records.DEVICE, ratio=replace(records.RATIO, low=0.6, high=1.1)),
        "spread-too-wide",
    ),
    "counts that differ": (_counted([1000, 1001]), "spread-too-wide"),
    "counts of two threads far apart": (_counted([1000, 1060], threads=2), "spread-too-wide"),
    "a busy host": (_loaded(3.1), "busy"),
    "hot before": (_heated(before=Thermal(status="severe")), "throttled"),
    "hot after": (_heated(after=Thermal(status="light")), "throttled"),
    "a hot iPhone": (_heated(after=Thermal(status="serious")), "throttled"),
    "a lower clock": (
        _heated(Thermal(cpu_frequency_mhz=2800.0), Thermal(cpu_frequency_mhz=1800.0)),
        "throttled",
    ),
    "slower and slower": (_timed(records.DEVICE, [1.0] * 30 + [1.2] * 30), "slowed-down"),
    "another delegate": (_delegated(asked="gpu"), "delegate-refused"),
    "an ignored delegate": (_delegated(asked="gpu", got=None), "delegate-refused"),
    "a delegate without work": (_delegated(partitions=0), "delegate-took-nothing"),
    "a battery saver": (
        replace(records.DEVICE, conditions=Conditions(low_power_mode=True)),
        "low-power",
    ),
    "a wrong output": (_erring(max_error=0.11), "wrong-output"),
    "an output that is not finite": (
        _erring(not_finite=2, max_error=None, mean_error=None),
        "wrong-output",
    ),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_is_found_by_its_rule_alone(fault):
    record, rule = _FAULTS[fault]
    result = validated(record)
    assert result.valid is False
    assert [reason.rule for reason in result.reasons] == [rule]


def test_a_refused_delegate_is_reported_for_a_failed_run_too():
    delegate = replace(records.XNNPACK, asked="gpu", got="none", partitions=None)
    runtime = replace(records.RUNTIME, delegate=delegate)
    refused = replace(records.DEVICE, runtime=runtime, latency=None, failure="no driver")
    result = validated(refused)
    assert result.valid is False
    assert [reason.rule for reason in result.reasons] == ["not-measured", "delegate-refused"]
    # A run that failed before the delegate was loaded does not show a refusal.
    unknown = replace(refused, runtime=replace(runtime, delegate=replace(delegate, got=None)))
    assert [reason.rule for reason in validated(unknown).reasons] == ["not-measured"]


def test_every_rule_finds_a_fault():
    assert {rule for _, rule in _FAULTS.values()} == set(RULES)


_GOOD = {
    "host": records.HOST,
    "device": records.DEVICE,
    "emulated": records.EMULATED,
    "thirty runs": _timed(records.HOST, [1.0] * 30),
    "a noisy host with a certain ratio": _timed(records.HOST, [1.0] * 30 + [11.0] * 10),
    "a steady device without samples": _without_samples(0.5),
    "a device with only a mean": _without_samples(None),
    "a host at its full load": _loaded(2.0),
    "two threads": _counted([1000, 1015], threads=2),
    "cool": _heated(Thermal(status="nominal"), Thermal(status="fair")),
    "no thermal status": _heated(Thermal(battery_temperature_c=31.0)),
    "a partial fallback": _delegated(partitions=22, fallback_ops={"HARD_SWISH": 21}),
    "at the tolerance": _erring(max_error=0.1),
    "no tolerance": _erring(max_error=5.0, tolerance=None),
    "not compared": replace(records.HOST, output_error=None),
}


@pytest.mark.parametrize("good", _GOOD)
def test_a_good_record_is_valid(good):
    result = validated(_GOOD[good])
    assert (result.valid, result.reasons) == (True, ())


def test_an_old_verdict_is_ignored():
    record, _ = _FAULTS["a wrong output"]
    assert validated(replace(record, valid=True)).valid is False
    assert validated(validated(record)) == validated(record)


def test_a_reason_has_figures():
    record, _ = _FAULTS["a wrong output"]
    assert validated(record).reasons[0].text == "an error of 0.11 years, at most 0.1 allowed"
