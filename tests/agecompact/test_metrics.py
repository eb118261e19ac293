"""Metrics against figures worked out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.metrics import Decade, age_metrics, gender_metrics


def test_age_metrics() -> None:
    true = np.array([5, 15, 18, 40])
    metrics = age_metrics(np.array([8.0, 15.0, 24.0, 29.0]), true)
    assert metrics.n == 4
    assert metrics.mae_years == pytest.approx((3 + 0 + 6 + 11) / 4)
    assert metrics.rmse_years == pytest.approx(((9 + 0 + 36 + 121) / 4) ** 0.5)
    assert metrics.ca == {3: 0.5, 5: 0.5, 10: 0.75}
    assert metrics.decades == {0: Decade(1, 3.0), 10: Decade(2, 3.0), 40: Decade(1, 11.0)}
    assert metrics.median_mae_years == pytest.approx((11.5 + 1.5 + 1.5 + 23.5) / 4)


def test_a_collapsed_network_shows() -> None:
    assert age_metrics(np.full(9, 33.5), np.arange(9)).prediction_std_years == 0


def test_metrics_are_json_with_text_keys() -> None:
    record = age_metrics(np.array([30.0]), np.array([30])).to_json()
    assert record["ca"] == {"3": 1.0, "5": 1.0, "10": 1.0}
    assert json.loads(json.dumps(record)) == record


@given(st.lists(st.tuples(st.floats(0, 120, width=16), st.integers(0, 116)), min_size=1))
def test_the_decades_add_up_to_the_whole(pairs: list[tuple[float, int]]) -> None:
    predicted, true = (np.array(values) for values in zip(*pairs, strict=True))
    metrics = age_metrics(predicted, true)
    assert sum(d.n for d in metrics.decades.values()) == metrics.n
    weighted = sum(d.n * d.mae_years for d in metrics.decades.values()) / metrics.n
    assert weighted == pytest.approx(metrics.mae_years)
    assert metrics.mae_years <= metrics.rmse_years * (1 + 1e-9)


def test_gender_metrics() -> None:
    metrics = gender_metrics(np.array([0.5, 0.49, 0.9, 0.1, 0.7]), np.array([1, 1, 1, 0, 0]))
    assert metrics.accuracy == pytest.approx(3 / 5)
    assert metrics.accuracy_male == pytest.approx(2 / 3)
    assert metrics.accuracy_female == pytest.approx(1 / 2)
    assert metrics.majority_accuracy == pytest.approx(3 / 5)


@pytest.mark.parametrize(
    ("predicted", "true"), [([], []), ([1.0], [1, 2]), ([float("nan")], [1]), ([float("inf")], [1])]
)
def test_what_cannot_be_compared_is_refused(predicted: list[float], true: list[int]) -> None:
    with pytest.raises(UsageError):
        age_metrics(np.array(predicted), np.array(true))


def test_gender_needs_both_genders() -> None:
    with pytest.raises(UsageError, match="both genders"):
        gender_metrics(np.array([0.2, 0.7]), np.array([1, 1]))
