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
    told = summarise([float(n) for n in range(1, 102)])
    assert (told.p50, told.p90, told.p99, told.min, told.max, told.mean) == (
        51,
        91,
        100,
        1,
        101,
        51,
    )
    assert told.std == pytest.approx(29.3, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.lists(_TIMES_MS, min_size=2, max_size=100))
def test_statistics_are_those_of_other_libraries(samples):
    told = summarise(samples)
    assert told.mean == pytest.approx(statistics.fmean(samples))
    assert told.std == pytest.approx(statistics.stdev(samples), abs=1e-9)
    assert (told.min, told.max) == (min(samples), max(samples))
    for q, value in ((0.5, told.p50), (0.9, told.p90), (0.99, told.p99)):
        wanted = stats.mstats.mquantiles(samples, q, alphap=1, betap=1)
        assert value == pytest.approx(float(wanted[0]))


@given(st.lists(_TIMES_MS, min_size=1))
def test_statistics_are_ordered(samples):
    told = summarise(samples)
    assert told.min <= told.p50 <= told.p90 <= told.p99 <= told.max
    assert told.min <= told.mean * (1 + 1e-12)
    assert told.mean <= told.max * (1 + 1e-12)


def test_one_sample_has_no_deviation():
    assert summarise([3.0]).std is None


@given(
    slowdowns=st.lists(st.floats(0.1, 10), min_size=2, max_size=20),
    mine=_TIMES_MS,
    theirs=_TIMES_MS,
)
def test_a_machine_that_slows_down_between_rounds_leaves_the_ratio_alone(slowdowns, mine, theirs):
    ratio = paired_ratio([[mine * s] for s in slowdowns], [[theirs * s] for s in slowdowns])
    assert ratio.median == pytest.approx(mine / theirs)
    assert ratio.interval.low == pytest.approx(ratio.interval.high)


def test_rounds_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired_ratio([[1.0]], [[1.0], [1.0]])


def test_one_round_has_a_ratio_and_no_interval():
    assert paired_ratio([[2.0]], [[1.0]]).median == 2
    assert paired_ratio([[2.0]], [[1.0]]).interval is None


def test_the_interval_is_scipy_s_bootstrap_of_the_median():
    values = np.random.default_rng(1).normal(1.0, 0.1, 40)
    told = median_interval(values)
    wanted = stats.bootstrap(
        (values,), np.median, method="percentile", n_resamples=5000, rng=2
    ).confidence_interval
    assert told.low == pytest.approx(wanted.low, abs=0.01)
    assert told.high == pytest.approx(wanted.high, abs=0.01)


def test_the_interval_holds_the_median_nineteen_times_of_twenty():
    random = np.random.default_rng(0)
    intervals = [median_interval(random.normal(1.0, 0.1, 30)) for _ in range(200)]
    held = sum(interval.low <= 1.0 <= interval.high for interval in intervals)
    assert 180 <= held <= 200


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(_TIMES_MS, min_size=1, max_size=9), min_size=1, max_size=5))
def test_rounds_of_which_only_statistics_are_known_pool_as_their_samples_would(rounds):
    told = [summarise(samples) for samples in rounds]
    whole = summarise([sample for samples in rounds for sample in samples])
    counts, means, stds = map(len, rounds), [t.mean for t in told], [t.std for t in told]
    counts = list(counts)
    assert pooled_mean(counts, means) == pytest.approx(whole.mean)
    if whole.std is None:
        assert pooled_std(counts, means, stds) is None
    else:
        assert pooled_std(counts, means, stds) == pytest.approx(whole.std, rel=1e-6, abs=1e-6)


def test_a_deviation_that_one_round_keeps_is_unknown():
    assert pooled_std([50, 50], [1.0, 2.0], [0.1, None]) is None
