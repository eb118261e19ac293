"""Metrics against figures worked out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import (
    AgeGroup,
    GenderGroup,
    age_intervals,
    age_metrics,
    gender_intervals,
    gender_metrics,
)

TRUE = np.array([5, 15, 18, 40])
PREDICTED = np.array([8.0, 15.0, 24.0, 29.0])


def test_age_metrics() -> None:
    metrics = age_metrics(PREDICTED, TRUE, [0, 1, 0, None])
    assert metrics.n == 4
    assert metrics.mae_years == pytest.approx((3 + 0 + 6 + 11) / 4)
    assert metrics.rmse_years == pytest.approx(((9 + 0 + 36 + 121) / 4) ** 0.5)
    assert metrics.bias_years == pytest.approx((3 + 0 + 6 - 11) / 4)
    assert metrics.ca == {3: 0.5, 5: 0.5, 10: 0.75}
    assert metrics.decades == {
        0: AgeGroup(1, 3.0, 3.0),
        10: AgeGroup(2, 3.0, 3.0),
        40: AgeGroup(1, 11.0, -11.0),
    }
    assert metrics.genders == {
        "female": AgeGroup(2, 4.5, 4.5),
        "male": AgeGroup(1, 0.0, 0.0),
        "unknown": AgeGroup(1, 11.0, -11.0),
    }
    assert metrics.median_mae_years == pytest.approx((11.5 + 1.5 + 1.5 + 23.5) / 4)


def test_a_collapsed_network_shows() -> None:
    assert age_metrics(np.full(9, 33.5), np.arange(9)).prediction_std_years == 0


def test_metrics_are_json_with_text_keys() -> None:
    for figures in (age_metrics, age_intervals):
        record = figures(PREDICTED, TRUE, [0, 1, 0, None]).to_json()
        assert set(record["ca"]) == {"3", "5", "10"}
        assert set(record["decades"]) == {"0", "10", "40"}
        assert json.loads(json.dumps(record)) == record


@given(st.lists(st.tuples(st.floats(0, 120, width=16), st.integers(0, 116)), min_size=1))
def test_the_groups_add_up_to_the_whole(pairs: list[tuple[float, int]]) -> None:
    predicted, true = (np.array(values) for values in zip(*pairs, strict=True))
    metrics = age_metrics(predicted, true, [age % 2 for age in true])
    for groups in (metrics.decades.values(), metrics.genders.values()):
        assert sum(g.n for g in groups) == metrics.n
        error = sum(g.n * g.mae_years for g in groups) / metrics.n
        bias = sum(g.n * g.bias_years for g in groups) / metrics.n
        assert error == pytest.approx(metrics.mae_years)
        assert bias == pytest.approx(metrics.bias_years, abs=1e-9)
    assert abs(metrics.bias_years) <= metrics.mae_years * (1 + 1e-9)
    assert metrics.mae_years <= metrics.rmse_years * (1 + 1e-9)


def test_each_interval_holds_its_figure() -> None:
    random = np.random.default_rng(0)
    true = random.integers(1, 60, 400)
    predicted = true + random.normal(1, 6, 400)
    genders = [int(g) for g in random.integers(0, 2, 400)]
    metrics = age_metrics(predicted, true, genders)
    intervals = age_intervals(predicted, true, genders)
    pairs = [
        (metrics.mae_years, intervals.mae_years),
        (metrics.rmse_years, intervals.rmse_years),
        (metrics.bias_years, intervals.bias_years),
        *((metrics.ca[years], intervals.ca[years]) for years in metrics.ca),
        *((g.mae_years, intervals.decades[start]) for start, g in metrics.decades.items()),
        *((g.mae_years, intervals.genders[name]) for name, g in metrics.genders.items()),
    ]
    assert len(pairs) == 3 + 3 + 6 + 2
    for value, interval in pairs:
        assert interval is not None
        assert interval.low < value < interval.high
    assert intervals.mae_years is not None
    # What the normal approximation says.
    spread = 1.96 * np.std(np.abs(predicted - true)) / 20
    assert intervals.mae_years.high - intervals.mae_years.low == pytest.approx(2 * spread, rel=0.1)


def test_a_groups_interval_depends_on_its_own_faces_only() -> None:
    random = np.random.default_rng(0)
    true, predicted = random.integers(20, 40, 60), random.uniform(15, 45, 60)
    whole = age_intervals(predicted, true)
    twenties = true < 30
    assert age_intervals(predicted[twenties], true[twenties]).decades[20] == whole.decades[20]


def test_one_face_has_figures_and_no_interval() -> None:
    one = (np.array([33.0]), np.array([30]), [1])
    assert age_metrics(*one).mae_years == 3
    intervals = age_intervals(*one)
    assert intervals.mae_years is None
    assert intervals.decades == {30: None}
    assert intervals.genders == {"male": None}


def test_gender_metrics() -> None:
    metrics = gender_metrics(
        np.array([0.5, 0.49, 0.9, 0.1, 0.7]),
        np.array([1, 1, 1, 0, 0]),
        np.array([4, 8, 30, 31, 39]),
    )
    assert metrics.accuracy == pytest.approx(3 / 5)
    assert metrics.genders == {
        "male": GenderGroup(3, pytest.approx(2 / 3)),
        "female": GenderGroup(2, pytest.approx(1 / 2)),
    }
    assert metrics.decades == {0: GenderGroup(2, 0.5), 30: GenderGroup(3, pytest.approx(2 / 3))}
    assert metrics.majority_accuracy == pytest.approx(3 / 5)


def test_gender_intervals() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 2, 300)
    scores = np.where(random.uniform(size=300) < 0.8, true, 1 - true)
    intervals = gender_intervals(scores, true, np.full(300, 25), Bootstrap(resamples=1000))
    accuracy = gender_metrics(scores, true).accuracy
    for interval in (intervals.accuracy, intervals.decades[20]):
        assert interval is not None
        assert interval.low < accuracy < interval.high
    assert set(intervals.genders) == {"female", "male"}
    assert json.loads(json.dumps(intervals.to_json())) == intervals.to_json()


@pytest.mark.parametrize("compare", [age_metrics, age_intervals])
@pytest.mark.parametrize(
    ("predicted", "true"), [([], []), ([1.0], [1, 2]), ([float("nan")], [1]), ([float("inf")], [1])]
)
def test_what_cannot_be_compared_is_refused(
    compare: object, predicted: list[float], true: list[int]
) -> None:
    with pytest.raises(UsageError):
        compare(np.array(predicted), np.array(true))


def test_gender_needs_both_genders() -> None:
    with pytest.raises(UsageError, match="both genders"):
        gender_metrics(np.array([0.2, 0.7]), np.array([1, 1]))
