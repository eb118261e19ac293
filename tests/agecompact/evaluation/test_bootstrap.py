"""Intervals agree with SciPy's, and 95 % intervals hold the true mean in 95 % of all cases."""

import numpy as np
import pytest
from scipy import stats

from agecompact.evaluation.bootstrap import Bootstrap, Interval

_RESAMPLES = 4000


def mean_interval(values: np.ndarray, **settings: object) -> Interval:
    (interval,) = Bootstrap(**settings).intervals(values[:, np.newaxis])
    assert interval is not None
    return interval


@pytest.mark.parametrize("n", [12, 700])
def test_it_agrees_with_scipy(n: int) -> None:
    errors = np.random.default_rng(0).gamma(2, 3, n)
    columns = np.stack([errors, errors**2], axis=1)
    ours = Bootstrap(resamples=_RESAMPLES).intervals(
        columns, lambda means: np.stack([means[:, 0], np.sqrt(means[:, 1])], axis=1)
    )
    for interval, statistic in zip(
        ours, (np.mean, lambda x, axis: np.sqrt(np.mean(x**2, axis))), strict=True
    ):
        theirs = stats.bootstrap(
            (errors,), statistic, n_resamples=_RESAMPLES, method="percentile", rng=1
        )
        # The draws differ.
        within = 0.15 * theirs.standard_error
        assert interval is not None
        assert interval.low == pytest.approx(theirs.confidence_interval.low, abs=within)
        assert interval.high == pytest.approx(theirs.confidence_interval.high, abs=within)


def test_it_holds_the_true_mean_as_often_as_its_confidence() -> None:
    random = np.random.default_rng(7)
    sets = [random.normal(1, 5, 200) for _ in range(300)]
    held = [i.low <= 1 <= i.high for i in (mean_interval(s, resamples=400) for s in sets)]
    # Three standard errors of a fraction of 300 sets.
    assert np.mean(held) == pytest.approx(0.95, abs=0.038)


def test_it_is_seeded() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


def test_less_confidence_is_narrower() -> None:
    values = np.random.default_rng(0).normal(size=50)
    wide, narrow = mean_interval(values), mean_interval(values, confidence=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_blocks_of_resamples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    whole = mean_interval(values)
    monkeypatch.setattr("agecompact.evaluation.bootstrap._BLOCK_ENTRIES", 50 * 7)
    blocks = mean_interval(values)
    assert blocks.low == pytest.approx(whole.low, abs=1e-12)
    assert blocks.high == pytest.approx(whole.high, abs=1e-12)


def test_one_face_has_no_interval() -> None:
    assert Bootstrap().intervals(np.array([[4.0, 2.0]])) == (None, None)
