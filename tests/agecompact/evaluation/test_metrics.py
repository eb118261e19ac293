"""Metrics agree with figures worked out by hand, and intervals with the normal approximation."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import age_metrics, gender_metrics, intervals_json, values_json

TRUE = np.array([5, 15, 18, 40])
PREDICTED = np.array([8.0, 15.0, 24.0, 29.0])
BOOTSTRAP = Bootstrap()


def test_age_metrics() -> None:
    metrics = age_metrics(PREDICTED, TRUE, [0, 1, 0, None])
    assert values_json(metrics) == {
        "n": 4,
        "mae_years": pytest.approx((3 + 0 + 6 + 11) / 4),
        "rmse_years": pytest.approx(((9 + 0 + 36 + 121) / 4) ** 0.5),
        "bias_years": pytest.approx((3 + 0 + 6 - 11) / 4),
        "ca": {"3": 0.5, "5": 0.5, "10": 0.75},
        "decades": {
            "0": {"n": 1, "mae_years": 3.0, "bias_years": 3.0},
            "10": {"n": 2, "mae_years": 3.0, "bias_years": 3.0},
            "40": {"n": 1, "mae_years": 11.0, "bias_years": -11.0},
        },
        "genders": {
            "female": {"n": 2, "mae_years": 4.5, "bias_years": 4.5},
            "male": {"n": 1, "mae_years": 0.0, "bias_years": 0.0},
            "unknown": {"n": 1, "mae_years": 11.0, "bias_years": -11.0},
        },
        "prediction_std_years": pytest.approx(np.std(PREDICTED)),
        "median_mae_years": pytest.approx((11.5 + 1.5 + 1.5 + 23.5) / 4),
    }


def test_a_collapsed_network_shows() -> None:
    assert age_metrics(np.full(9, 33.5), np.arange(9)).prediction_std_years == 0


def test_intervals_are_json_with_the_keys_of_their_figures() -> None:
    metrics = age_metrics(PREDICTED, TRUE, [0, 1, 0, None], BOOTSTRAP)
    intervals = intervals_json(metrics)
    assert set(intervals) == {"mae_years", "rmse_years", "bias_years", "ca", "decades", "genders"}
    for name in ("ca", "decades", "genders"):
        assert intervals[name].keys() == values_json(metrics)[name].keys()
    assert json.loads(json.dumps(intervals)) == intervals


@given(st.lists(st.tuples(st.floats(0, 120, width=16), st.integers(0, 116)), min_size=1))
def test_the_groups_add_up_to_the_whole(pairs: list[tuple[float, int]]) -> None:
    predicted, true = (np.array(values) for values in zip(*pairs, strict=True))
    metrics = age_metrics(predicted, true, [age % 2 for age in true])
    overall, bias = metrics.mae_years.value, metrics.bias_years.value
    for groups in (metrics.decades.values(), metrics.genders.values()):
        assert sum(g.n for g in groups) == metrics.n
        assert sum(g.n * g.mae_years.value for g in groups) / metrics.n == pytest.approx(overall)
        group_bias = sum(g.n * g.bias_years.value for g in groups) / metrics.n
        assert group_bias == pytest.approx(bias, abs=1e-9)
    assert abs(bias) <= overall * (1 + 1e-9)
    assert overall <= metrics.rmse_years.value * (1 + 1e-9)


def test_each_interval_holds_its_figure() -> None:
    random = np.random.default_rng(0)
    true = random.integers(1, 60, 400)
    predicted = true + random.normal(1, 6, 400)
    genders = [int(g) for g in random.integers(0, 2, 400)]
    metrics = age_metrics(predicted, true, genders, BOOTSTRAP)
    figures = [
        metrics.mae_years,
        metrics.rmse_years,
        metrics.bias_years,
        *metrics.ca.values(),
        *(group.mae_years for group in metrics.decades.values()),
        *(group.mae_years for group in metrics.genders.values()),
    ]
    assert len(figures) == 3 + 3 + 6 + 2
    for figure in figures:
        assert figure.interval is not None
        assert figure.interval.low < figure.value < figure.interval.high
    interval = metrics.mae_years.interval
    assert interval is not None
    # By the normal approximation.
    width = 2 * 1.96 * np.std(np.abs(predicted - true)) / 20
    assert interval.high - interval.low == pytest.approx(width, rel=0.1)


def test_a_groups_interval_depends_on_its_own_faces_only() -> None:
    random = np.random.default_rng(0)
    true, predicted = random.integers(20, 40, 60), random.uniform(15, 45, 60)
    whole = age_metrics(predicted, true, bootstrap=BOOTSTRAP)
    twenties = true < 30
    part = age_metrics(predicted[twenties], true[twenties], bootstrap=BOOTSTRAP)
    assert part.decades[20] == whole.decades[20]


def test_one_face_has_figures_and_no_interval() -> None:
    metrics = age_metrics(np.array([33.0]), np.array([30]), [1], BOOTSTRAP)
    assert metrics.mae_years.value == 3
    intervals = intervals_json(metrics)
    assert intervals["mae_years"] is None
    assert (intervals["decades"], intervals["genders"]) == ({"30": None}, {"male": None})


def test_gender_metrics() -> None:
    metrics = gender_metrics(
        np.array([0.5, 0.49, 0.9, 0.1, 0.7]),
        np.array([1, 1, 1, 0, 0]),
        np.array([4, 8, 30, 31, 39]),
    )
    assert values_json(metrics) == {
        "n": 5,
        "accuracy": pytest.approx(3 / 5),
        "majority_accuracy": pytest.approx(3 / 5),
        "decades": {
            "0": {"n": 2, "accuracy": 0.5},
            "30": {"n": 3, "accuracy": pytest.approx(2 / 3)},
        },
        "genders": {
            "female": {"n": 2, "accuracy": pytest.approx(1 / 2)},
            "male": {"n": 3, "accuracy": pytest.approx(2 / 3)},
        },
    }


def test_gender_intervals() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 2, 300)
    scores = np.where(random.uniform(size=300) < 0.8, true, 1 - true)
    metrics = gender_metrics(scores, true, np.full(300, 25), Bootstrap(resamples=1000))
    for interval in (metrics.accuracy.interval, metrics.decades[20].accuracy.interval):
        assert interval is not None
        assert interval.low < metrics.accuracy.value < interval.high
    assert set(intervals_json(metrics)) == {"accuracy", "decades", "genders"}
    assert set(intervals_json(metrics)["genders"]) == {"female", "male"}


@pytest.mark.parametrize("bootstrap", [None, BOOTSTRAP])
@pytest.mark.parametrize(
    ("predicted", "true"), [([], []), ([1.0], [1, 2]), ([float("nan")], [1]), ([float("inf")], [1])]
)
def test_what_cannot_be_compared_is_refused(
    bootstrap: Bootstrap | None, predicted: list[float], true: list[int]
) -> None:
    with pytest.raises(UsageError):
        age_metrics(np.array(predicted), np.array(true), bootstrap=bootstrap)


def test_gender_needs_both_genders() -> None:
    with pytest.raises(UsageError, match="both genders"):
        gender_metrics(np.array([0.2, 0.7]), np.array([1, 1]))
