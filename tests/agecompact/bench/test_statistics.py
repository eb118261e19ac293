import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agecompact.bench.statistics import (
    median_interval,
    paired_ratio,
    pooled_mean,
    pooled_std,
    summarise,
)

_TIMES_MS = st.floats(1e-3, 1e3)


def test_percentiles_of_known_samples():
    summary = summarise([float(n) for n in range(1, 102)])
    assert (summary.p50, summary.p90, summary.p99) == (51, 91, 100)
    assert (summary.min, summary.max, summary.mean) == (1, 101, 51)
    assert summary.std == pytest.approx(29.3, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(_TIMES_MS, min_size=2, max_size=100))
def test_statistics_agree_with_other_libraries(samples):
    summary = summarise(samples)
    assert summary.mean == pytest.approx(statistics.fmean(samples))
    assert summary.std == pytest.approx(statistics.stdev(samples), abs=1e-9)
    assert (summary.min, summary.max) == (min(samples), max(samples))
    for q, value in ((0.5, summary.p50), (0.9, summary.p90), (0.99, summary.p99)):
        expected = stats.mstats.mquantiles(samples, q, alphap=1, betap=1)
        assert value == pytest.approx(float(expected[0]))


@given(st.lists(_TIMES_MS, min_size=1))
def test_statistics_are_ordered(samples):
    summary = summarise(samples)
    assert summary.min <= summary.p50 <= summary.p90 <= summary.p99 <= summary.max
    assert summary.min <= summary.mean * (1 + 1e-12)
    assert summary.mean <= summary.max * (1 + 1e-12)


def test_one_sample_has_no_deviation():
    assert summarise([3.0]).std is None


@given(
    slowdowns=st.lists(st.floats(0.1, 10), min_size=2, max_size=20),
    time_ms=_TIMES_MS,
    reference_ms=_TIMES_MS,
)
def test_a_machine_that_slows_down_between_rounds_does_not_change_the_ratio(
    slowdowns, time_ms, reference_ms
):
    rounds_ms = [[time_ms * factor] for factor in slowdowns]
    ratio, interval = paired_ratio(rounds_ms, [[reference_ms * factor] for factor in slowdowns])
    assert ratio == pytest.approx(time_ms / reference_ms)
    assert interval.low == pytest.approx(interval.high)


def test_rounds_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired_ratio([[1.0]], [[1.0], [1.0]])


def test_one_round_has_a_ratio_and_no_interval():
    assert paired_ratio([[2.0]], [[1.0]]) == (2, None)


def test_the_interval_agrees_with_the_bootstrap_of_scipy():
    values = np.random.default_rng(1).normal(1.0, 0.1, 40)
    interval = median_interval(values)
    expected = stats.bootstrap(
        (values,), np.median, method="percentile", n_resamples=5000, rng=2
    ).confidence_interval
    assert interval.low == pytest.approx(expected.low, abs=0.01)
    assert interval.high == pytest.approx(expected.high, abs=0.01)


def test_nineteen_of_twenty_intervals_contain_the_median():
    random = np.random.default_rng(0)
    intervals = [median_interval(random.normal(1.0, 0.1, 30)) for _ in range(200)]
    held = sum(interval.low <= 1.0 <= interval.high for interval in intervals)
    assert 180 <= held <= 200


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(_TIMES_MS, min_size=1, max_size=9), min_size=1, max_size=5))
def test_pooled_statistics_are_those_of_all_samples(rounds):
    summaries = [summarise(samples) for samples in rounds]
    whole = summarise([sample for samples in rounds for sample in samples])
    counts = [len(samples) for samples in rounds]
    means, stds = [s.mean for s in summaries], [s.std for s in summaries]
    assert pooled_mean(counts, means) == pytest.approx(whole.mean)
    if whole.std is None:
        assert pooled_std(counts, means, stds) is None
    else:
        assert pooled_std(counts, means, stds) == pytest.approx(whole.std, rel=1e-6, abs=1e-6)


def test_the_deviation_is_unknown_if_that_of_a_round_is():
    assert pooled_std([50, 50], [1.0, 2.0], [0.1, None]) is None
