"""A record says what was measured, or nothing; what other harnesses got wrong it cannot say."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agecompact.bench import circumstances
from agecompact.bench.figures import Instructions, Memory, Modelled, OpTime
from agecompact.bench.record import Artifact, Record, Size
from agecompact.bench.timing import Latency, Startup
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from agecompact.serialization import structure, unstructure
from tests import records
from tests.strategies import checked

_MS = st.floats(1e-6, 1e6)
_BYTES = st.integers(1, 1 << 40)


@st.composite
def _artifacts(draw):
    size = draw(st.none() | checked(Size, weights_bytes=_BYTES))
    total = size.weights_bytes + size.graph_bytes + size.metadata_bytes if size else draw(_BYTES)
    return draw(checked(Artifact, size=st.just(size), file_bytes=st.just(total)))


@st.composite
def _instructions(draw):
    totals = tuple(draw(st.lists(st.integers(10, 1 << 50), min_size=1, max_size=5)))
    bound = draw(st.none() | st.integers(1, 100))
    parts = st.none() | st.integers(0, min(totals))
    return Instructions(
        total=draw(st.sampled_from(totals)),
        totals=totals,
        **{name: draw(parts) for name in ("load", "store", "simd", "branch")},
        bound=bound,
        bound_basis="lanes" if bound else None,
    )


_LATENCIES = st.builds(
    lambda samples, warmup: Latency.of(tuple(samples), warmup_runs=warmup),
    st.lists(_MS, min_size=1, max_size=50),
    st.none() | st.integers(0, 100),
)
_ERRORS = st.builds(
    lambda error, bad: replace(
        records.OUTPUT_ERROR,
        not_finite=bad,
        max_error=None if bad else error,
        mean_error=None if bad else error / 2,
    ),
    st.floats(0, 1e3),
    st.integers(0, 8),
)
_RATIOS = st.builds(
    lambda ends: replace(records.RATIO, low=min(ends), median=sum(ends) / 2, high=max(ends)),
    st.tuples(_MS, _MS),
)


@st.composite
def _records(draw):
    template = draw(st.sampled_from(records.ALL))
    figure = {
        "host": {"latency": draw(_LATENCIES), "ratio": draw(st.none() | _RATIOS)},
        "device": {"latency": draw(_LATENCIES), "ratio": draw(st.none() | _RATIOS)},
        "emulated-instructions": {"instructions": draw(_instructions())},
        "modelled": {"modelled": draw(checked(Modelled, clock_mhz=st.floats(1, 1e4)))},
    }[template.source]
    return replace(
        template,
        artifact=draw(_artifacts()),
        runtime=draw(checked(circumstances.Runtime)),
        startup=draw(st.none() | checked(Startup)),
        memory=draw(st.none() | checked(Memory)),
        conditions=draw(st.none() | checked(circumstances.Conditions)),
        output_error=draw(st.none() | _ERRORS),
        profile=draw(st.none() | st.lists(checked(OpTime), max_size=3).map(tuple)),
        **figure,
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_records())
def test_any_record_reads_back_as_it_was_written(record):
    for each in (record, validated(record)):
        assert (
            structure(
                json.loads(json.dumps(unstructure(each), allow_nan=False)), Record, where="record"
            )
            == each
        )


def test_units_stand_in_the_names_of_times_bytes_and_temperatures():
    units = ("_ms", "_s", "_bytes", "_c", "_mhz", "_runs")
    for part in (Latency, Startup, Memory, circumstances.Thermal, Size):
        for name in part.__dataclass_fields__:
            assert name.endswith(units) or name in {"rounds", "status"}, name


# What other harnesses have shipped, one test each.


def _latency(**changed):
    told = {"mean_ms": 1.3, "min_ms": 1.0, "max_ms": 2.0, "timed_runs": 50, "warmup_runs": 1}
    return Latency(**{**told, **changed})


@pytest.mark.parametrize("name", ["mean_ms", "p50_ms", "min_ms", "std_ms"])
def test_a_failed_run_is_not_stored_as_zero(name):
    value = -1.0 if name == "std_ms" else 0.0
    with pytest.raises(UsageError, match=f"Latency.{name}"):
        _latency(**{name: value})


def test_a_failed_run_has_no_latency_and_says_why():
    failed = replace(records.HOST, latency=None, ratio=None, failure="no such delegate")
    assert validated(failed).valid is False
    with pytest.raises(UsageError, match="either its latency or why there is none"):
        replace(failed, failure=None)
    with pytest.raises(UsageError, match="either its latency or why there is none"):
        replace(records.HOST, failure="it failed and has a time")


def test_nanoseconds_in_a_field_called_ms_do_not_fit_into_the_time_that_passed():
    Latency.of((1.3,) * 50, warmup_runs=1, elapsed_s=0.1)
    for wrong in (1.3e3, 1.3e6):
        with pytest.raises(UsageError, match=r"do not fit into 0\.1 s") as refused:
            Latency.of((wrong,) * 50, warmup_runs=1, elapsed_s=0.1)
        assert "their unit is not ms" in refused.value.why


def test_a_mean_whose_exponent_was_cut_off_lies_below_the_least_sample():
    # avg=1.29563e+06 read as 1.29563, beside min=1269110 us.
    with pytest.raises(UsageError, match="lies beyond"):
        _latency(mean_ms=1.29563e-3, min_ms=1269.11, max_ms=1300.0)


def test_the_average_of_the_warm_up_is_not_that_of_the_samples():
    told = Latency.of((1.0, 1.1, 1.2), warmup_runs=1)
    with pytest.raises(UsageError, match=r"mean_ms is 1\.15"):
        replace(told, mean_ms=1.15)


def test_runs_that_were_asked_for_and_not_made_are_not_counted():
    told = Latency.of((1.0, 1.1, 1.2), warmup_runs=1)
    with pytest.raises(UsageError, match="3 samples for 50 timed runs"):
        replace(told, timed_runs=50)


def test_percentiles_in_the_wrong_order_are_refused():
    with pytest.raises(UsageError, match="out of order"):
        _latency(p50_ms=1.4, p90_ms=1.2)


def test_the_time_of_an_emulator_is_no_latency():
    with pytest.raises(UsageError, match="'latency' in a record of source 'emulated-instructions'"):
        replace(records.EMULATED, latency=records.HOST.latency)
    with pytest.raises(UsageError, match="an emulator's time is no latency"):
        replace(records.HOST, machine=records.EMULATED.machine)
    with pytest.raises(UsageError, match="name their emulator"):
        replace(records.EMULATED, machine=records.HOST.machine)


def test_a_modelled_time_says_what_it_assumes_and_never_stands_for_a_measured_one():
    with pytest.raises(UsageError, match="its clock or its calibration"):
        Modelled(kind="estimate", inference_ms=1.0, method="llvm-mca")
    with pytest.raises(UsageError, match="'modelled' in a record of source 'device'"):
        replace(records.DEVICE, modelled=records.MODELLED.modelled)


def test_an_answer_that_is_no_number_has_no_error():
    error = replace(records.OUTPUT_ERROR, not_finite=1, max_error=None, mean_error=None)
    assert error.max_error is None
    with pytest.raises(UsageError, match="unknown exactly where"):
        replace(records.OUTPUT_ERROR, not_finite=1)
    with pytest.raises(UsageError, match="unknown exactly where"):
        replace(records.OUTPUT_ERROR, max_error=None)


def test_parts_of_a_file_add_up_to_it():
    with pytest.raises(UsageError, match="parts of 1500 bytes do not add up to 1501"):
        replace(records.ARTIFACT, file_bytes=1501)


def test_an_interval_has_two_ends_in_order():
    with pytest.raises(UsageError, match="two ends"):
        replace(records.RATIO, high=None)
    with pytest.raises(UsageError, match="an interval from"):
        replace(records.RATIO, low=0.9)


def test_counts_of_a_kind_are_among_all():
    counted = records.EMULATED.instructions
    with pytest.raises(UsageError, match="more than all"):
        replace(counted, load=counted.total + 1)
    with pytest.raises(UsageError, match="none of its processes'"):
        replace(counted, total=counted.total + 1)
    with pytest.raises(UsageError, match="told together"):
        replace(counted, bound_basis=None)
    assert counted.over_bound == pytest.approx(4.41)
    assert replace(counted, bound=None, bound_basis=None).over_bound is None


def test_a_verdict_and_its_reasons_belong_together():
    for wrong in ({"valid": False}, {"valid": True, "reasons": _reasons()}):
        with pytest.raises(UsageError, match="exactly where it has reasons"):
            replace(records.HOST, **wrong)


def _reasons():
    return validated(replace(records.HOST, latency=None, ratio=None, failure="none")).reasons


def test_a_latency_of_no_samples_is_refused():
    with pytest.raises(UsageError, match="no timed inference"):
        Latency.of((), warmup_runs=1)
