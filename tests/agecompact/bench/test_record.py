"""A record round-trips, and refuses the mistakes that other benchmarks have shipped."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agecompact.bench import circumstances
from agecompact.bench.figures import Instructions, Memory, OpTime
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
    figures = (
        {"instructions": draw(_instructions())}
        if template.source == "emulated-instructions"
        else {"latency": draw(_LATENCIES), "ratio": draw(st.none() | _RATIOS)}
    )
    return replace(
        template,
        artifact=draw(_artifacts()),
        runtime=draw(checked(circumstances.Runtime)),
        startup=draw(st.none() | checked(Startup)),
        memory=draw(st.none() | checked(Memory)),
        conditions=draw(st.none() | checked(circumstances.Conditions)),
        output_error=draw(st.none() | _ERRORS),
        profile=draw(st.none() | st.lists(checked(OpTime), max_size=3).map(tuple)),
        **figures,
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_records())
def test_any_record_reads_back_unchanged(record):
    for each in (record, validated(record)):
        content = json.loads(json.dumps(unstructure(each), allow_nan=False))
        assert structure(content, Record, where="record") == each


def test_names_of_times_bytes_and_temperatures_carry_the_unit():
    units = ("_ms", "_s", "_bytes", "_c", "_mhz", "_runs")
    for part in (Latency, Startup, Memory, circumstances.Thermal, Size):
        for name in part.__dataclass_fields__:
            assert name.endswith(units) or name in {"rounds", "status"}, name


# Mistakes that other benchmarks have shipped, one test each.


def _latency(**changed):
    fields = {"mean_ms": 1.3, "min_ms": 1.0, "max_ms": 2.0, "timed_runs": 50, "warmup_runs": 1}
    return Latency(**{**fields, **changed})


@pytest.mark.parametrize("name", ["mean_ms", "p50_ms", "min_ms", "std_ms"])
def test_a_failed_run_is_not_stored_as_zero(name):
    value = -1.0 if name == "std_ms" else 0.0
    with pytest.raises(UsageError, match=f"Latency.{name}"):
        _latency(**{name: value})


def test_a_record_has_either_a_latency_or_a_failure():
    failed = replace(records.HOST, latency=None, ratio=None, failure="no such delegate")
    assert validated(failed).valid is False
    with pytest.raises(UsageError, match="exactly one of 'latency' and 'failure'"):
        replace(failed, failure=None)
    with pytest.raises(UsageError, match="exactly one of 'latency' and 'failure'"):
        replace(records.HOST, failure="it failed and has a time")


def test_nanoseconds_in_a_field_called_ms_do_not_fit_into_the_elapsed_time():
    Latency.of((1.3,) * 50, warmup_runs=1, elapsed_s=0.1)
    for wrong in (1.3e3, 1.3e6):
        with pytest.raises(UsageError, match=r"do not fit into 0\.1 s") as refused:
            Latency.of((wrong,) * 50, warmup_runs=1, elapsed_s=0.1)
        assert "their unit is not ms" in refused.value.why


def test_a_mean_whose_exponent_was_cut_off_is_below_the_minimum():
    # avg=1.29563e+06 read as 1.29563, beside min=1269110 us.
    with pytest.raises(UsageError, match="is beyond"):
        _latency(mean_ms=1.29563e-3, min_ms=1269.11, max_ms=1300.0)


_SAMPLED = Latency.of((1.0, 1.1, 1.2), warmup_runs=1)
_COUNTED = records.EMULATED.instructions
_CONTRADICTIONS = {
    "the mean of the warm-up": (_SAMPLED, {"mean_ms": 1.15}, r"mean_ms is 1\.15"),
    "runs only requested": (_SAMPLED, {"timed_runs": 50}, "3 samples for 50 timed runs"),
    "percentiles in the wrong order": (_latency(), {"p50_ms": 1.4, "p90_ms": 1.2}, "out of order"),
    "emulator wall time as a latency": (
        records.EMULATED,
        {"latency": records.HOST.latency},
        "'latency' in a record of source 'emulated-instructions'",
    ),
    "an emulated host": (
        records.HOST,
        {"machine": records.EMULATED.machine},
        "emulator wall time is not a latency",
    ),
    "counts of real hardware": (
        records.EMULATED,
        {"machine": records.HOST.machine},
        "name of the emulator",
    ),
    "an unknown format": (records.ARTIFACT, {"format": "gguf"}, r"Artifact\.format is 'gguf'"),
    "parts that do not add up": (
        records.ARTIFACT,
        {"file_bytes": 1501},
        "parts of 1500 bytes do not add up to 1501",
    ),
    "an error of a NaN": (records.OUTPUT_ERROR, {"not_finite": 1}, "if and only if an output"),
    "no error of numbers": (records.OUTPUT_ERROR, {"max_error": None}, "if and only if an output"),
    "an interval of one end": (records.RATIO, {"high": None}, "two ends"),
    "a reversed interval": (records.RATIO, {"low": 0.9}, "is reversed"),
    "more loads than instructions": (
        _COUNTED,
        {"load": _COUNTED.total + 1},
        "more than the total",
    ),
    "a total of no process": (_COUNTED, {"total": _COUNTED.total + 1}, "not one of the totals"),
    "a basis of no bound": (_COUNTED, {"bound": None}, "given together"),
}


@pytest.mark.parametrize("name", _CONTRADICTIONS)
def test_figures_that_contradict_each_other_are_refused(name):
    good, changed, match = _CONTRADICTIONS[name]
    with pytest.raises(UsageError, match=match):
        replace(good, **changed)


def test_an_output_that_is_not_finite_has_no_error():
    error = replace(records.OUTPUT_ERROR, not_finite=1, max_error=None, mean_error=None)
    assert error.max_error is None


def test_counts_are_compared_with_their_bound():
    assert _COUNTED.over_bound == pytest.approx(4.41)
    assert replace(_COUNTED, bound=None, bound_basis=None).over_bound is None


def test_a_record_is_invalid_if_and_only_if_it_has_reasons():
    failed = validated(replace(records.HOST, latency=None, ratio=None, failure="none"))
    for wrong in ({"valid": False}, {"valid": True, "reasons": failed.reasons}):
        with pytest.raises(UsageError, match="if and only if 'reasons' is non-empty"):
            replace(records.HOST, **wrong)


def test_a_latency_without_samples_is_refused():
    with pytest.raises(UsageError, match="no timed inference"):
        Latency.of((), warmup_runs=1)
