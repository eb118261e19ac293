"""The card's figures and failure groups follow from a measurement by a stated rule."""

import json
from pathlib import Path

import numpy as np
import pytest

from agecompact.data.face import Face, Label
from agecompact.evaluation import card_sections
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.evaluate import Evaluation
from agecompact.evaluation.metrics import age_metrics, gender_metrics
from agecompact.evaluation.prediction import Predictions

N = 200


@pytest.fixture
def ages() -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Predictions off by 2 years, but by 12 either way in the fifties, by +6 in the seventies."""
    true = np.repeat([25, 35, 45, 55, 75], N)
    sign = np.tile([1, -1], len(true) // 2)
    error = 2.0 * sign
    error[true == 55] = 12 * sign[true == 55]
    error[true == 75] = 6
    return true + error, true, [0, 1] * (len(true) // 2)


def test_failure_groups_follow_the_rule(ages: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    metrics = age_metrics(*ages, Bootstrap())
    assert metrics.mae_years.value == pytest.approx(4.8)
    found = {(g.by, g.name): g for g in card_sections.failure_groups(metrics)}
    # Both genders have the same error.
    assert set(found) == {("decade", "50"), ("decade", "70")}
    fifties, seventies = found.values()
    assert fifties.reasons == ("error",)
    assert (fifties.n, fifties.value) == (N, pytest.approx(12))
    # 6 years are less than 1.5 times the overall 4.8.
    assert seventies.reasons == ("bias",)
    assert seventies.bias_years == pytest.approx(6)


def test_a_wide_interval_is_not_a_failure() -> None:
    random = np.random.default_rng(0)
    true = np.repeat([25, 85], [500, 4])
    predicted = true + random.normal(0, 3, len(true))
    predicted[500:] = 85 + np.array([-1.0, 1.0, -9.0, 9.0])
    metrics = age_metrics(predicted, true, bootstrap=Bootstrap())
    eighties, overall = metrics.decades[80].mae_years.value, metrics.mae_years.value
    assert eighties > card_sections.ERROR_FACTOR * overall
    assert card_sections.failure_groups(metrics) == ()


def test_a_gender_model_fails_by_its_error_rate() -> None:
    true = np.tile([0, 1], 400)
    ages = np.repeat([5, 30], 400)
    scores = true.astype(float)
    # In the first decade three of eight are wrong.
    wrong = (ages < 10) & (np.arange(800) % 8 < 3)
    scores[wrong] = 1 - scores[wrong]
    metrics = gender_metrics(scores, true, ages, Bootstrap())
    (group,) = card_sections.failure_groups(metrics)
    assert (group.by, group.name, group.figure) == ("decade", "0", "error_rate")
    assert group.value == pytest.approx(3 / 8)
    assert group.interval is not None
    assert group.interval.low < 3 / 8 < group.interval.high


@pytest.fixture
def evaluation(ages: tuple[np.ndarray, np.ndarray, list[int]]) -> Evaluation:
    bootstrap = Bootstrap(resamples=200)
    faces = tuple(Face("", Path(), "", Label(int(age))) for age in ages[1])
    predictions = Predictions(faces, ages[0], 3, 1.0, 2.0)
    return Evaluation(age_metrics(*ages, bootstrap), bootstrap, predictions)


def test_sections_are_plain_json(evaluation: Evaluation) -> None:
    sections = card_sections.sections(evaluation, dataset="utkface", part="test", split_sha256="ab")
    assert json.loads(json.dumps(sections)) == json.loads(json.dumps(sections, sort_keys=True))
    figures = sections["evaluation"]
    assert figures["mae_years"] == evaluation.metrics.headline.value
    assert (figures["dataset"], figures["part"], figures["split_sha256"]) == (
        "utkface",
        "test",
        "ab",
    )
    assert figures["unreadable"] == 3
    assert figures["intervals"]["resamples"] == 200
    low, high = (figures["intervals"]["mae_years"][end] for end in ("low", "high"))
    assert low < figures["mae_years"] < high
    assert "1.5 times" in sections["failure_groups"]["rule"]
    assert [group["name"] for group in sections["failure_groups"]["groups"]] == ["50", "70"]
