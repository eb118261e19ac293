"""The card's figures and failure groups follow from a measurement by a stated rule."""

import json
from pathlib import Path

import numpy as np
import pytest

from agecompact import cards, checkpoints
from agecompact.bootstrap import Bootstrap
from agecompact.data.face import Face, Label
from agecompact.errors import UsageError
from agecompact.evaluation import Evaluation
from agecompact.metrics import age_intervals, age_metrics, gender_intervals, gender_metrics
from agecompact.models import registry
from agecompact.prediction import Predictions
from tests.support import random_weights

N = 200


@pytest.fixture
def ages() -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Answers off by 2 years, but by 12 either way in the fifties and by +6 in the seventies."""
    true = np.repeat([25, 35, 45, 55, 75], N)
    sign = np.tile([1, -1], len(true) // 2)
    error = 2.0 * sign
    error[true == 55] = 12 * sign[true == 55]
    error[true == 75] = 6
    return true + error, true, [0, 1] * (len(true) // 2)


def test_failure_groups_follow_the_rule(ages: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    metrics, intervals = age_metrics(*ages), age_intervals(*ages)
    assert metrics.mae_years == pytest.approx(4.8)
    found = {(g.by, g.name): g for g in cards.failure_groups(metrics, intervals)}
    # The genders err alike, each with the sign of its faces.
    assert set(found) == {("decade", "50"), ("decade", "70")}
    fifties, seventies = found.values()
    assert fifties.reasons == ("error",)
    assert (fifties.n, fifties.value) == (N, pytest.approx(12))
    # 6 years are less than 1.5 times the overall 4.8.
    assert seventies.reasons == ("bias",)
    assert seventies.bias_years == pytest.approx(6)


def test_an_interval_that_reaches_down_is_no_proof() -> None:
    random = np.random.default_rng(0)
    true = np.repeat([25, 85], [500, 4])
    predicted = true + random.normal(0, 3, len(true))
    predicted[500:] = 85 + np.array([-1.0, 1.0, -9.0, 9.0])
    metrics, intervals = age_metrics(predicted, true), age_intervals(predicted, true)
    assert metrics.decades[80].mae_years > cards.ERROR_FACTOR * metrics.mae_years
    assert cards.failure_groups(metrics, intervals) == ()


def test_a_gender_model_fails_by_its_error_rate() -> None:
    true = np.tile([0, 1], 400)
    ages = np.repeat([5, 30], 400)
    scores = true.astype(float)
    # In the first ten years three of eight are taken for the other gender.
    wrong = (ages < 10) & (np.arange(800) % 8 < 3)
    scores[wrong] = 1 - scores[wrong]
    metrics, intervals = gender_metrics(scores, true, ages), gender_intervals(scores, true, ages)
    (group,) = cards.failure_groups(metrics, intervals)
    assert (group.by, group.name, group.figure) == ("decade", "0", "error_rate")
    assert group.value == pytest.approx(3 / 8)
    assert group.interval is not None
    assert group.interval.low < 3 / 8 < group.interval.high


@pytest.fixture
def evaluation(ages: tuple[np.ndarray, np.ndarray, list[int]]) -> Evaluation:
    bootstrap = Bootstrap(resamples=200)
    faces = tuple(Face("", Path(), "", Label(int(age))) for age in ages[1])
    return Evaluation(
        age_metrics(*ages),
        age_intervals(*ages, bootstrap),
        bootstrap,
        Predictions(faces, ages[0], 3, 1.0, 2.0),
    )


def test_sections_are_plain_json(evaluation: Evaluation) -> None:
    sections = cards.sections(evaluation, dataset="utkface", part="test", split_sha256="ab")
    assert json.loads(json.dumps(sections)) == json.loads(json.dumps(sections, sort_keys=True))
    told = sections["evaluation"]
    assert told["mae_years"] == evaluation.metrics.to_json()["mae_years"]
    assert (told["dataset"], told["part"], told["split_sha256"]) == ("utkface", "test", "ab")
    assert told["unreadable"] == 3
    assert told["intervals"]["resamples"] == 200
    low, high = (told["intervals"]["mae_years"][end] for end in ("low", "high"))
    assert low < told["mae_years"] < high
    assert "1.5 times" in sections["failure_groups"]["rule"]
    assert [group["name"] for group in sections["failure_groups"]["groups"]] == ["50", "70"]


def test_a_card_is_updated_and_its_weights_are_not(evaluation: Evaluation, tmp_path: Path) -> None:
    path = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    before = path.read_bytes()
    old = checkpoints.read(path).card
    sections = cards.sections(evaluation, dataset="utkface", part="test", split_sha256="ab")
    assert cards.update(path, sections) == checkpoints.card_path(path)
    assert path.read_bytes() == before
    card = checkpoints.read(path).card
    assert {key: card[key] for key in old} == old
    assert card["evaluation"]["n"] == 5 * N
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ssrnet.json", "ssrnet.safetensors"]


def test_another_files_card_is_not_updated(tmp_path: Path) -> None:
    path = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    card = checkpoints.card_path(path)
    card.write_text(json.dumps({"sha256": "0"}))
    with pytest.raises(UsageError, match="card of another file"):
        cards.update(path, {})
    assert json.loads(card.read_text()) == {"sha256": "0"}
    card.unlink()
    with pytest.raises(UsageError, match="no card"):
        cards.update(path, {})


@pytest.mark.parametrize(
    ("card", "part", "doubt"),
    [
        ({}, "test", "no card says"),
        ({"split": None}, "test", "no card says"),
        ({"split": {"sha256": "other"}}, "test", "trained on another split"),
        ({"split": {"sha256": "this"}}, "train", "'train' holds the faces"),
        ({"split": {"sha256": "this"}}, "all", "'all' holds the faces"),
        ({"split": {"sha256": "this"}}, "test", None),
        ({"split": {"sha256": "this"}}, "val", None),
    ],
)
def test_what_may_have_been_trained_on_is_said(
    card: dict[str, object], part: str, doubt: str | None
) -> None:
    found = cards.doubts(card, part=part, split_sha256="this")
    assert len(found) == (doubt is not None)
    assert all(str(doubt) in line for line in found)


def test_a_released_card_is_found_by_the_hash_of_its_weights() -> None:
    released = checkpoints.read(checkpoints.released_path("ssrnet"))
    assert cards.released(released.sha256, "ssrnet") == released.card
    assert cards.released("0", "ssrnet") == {}
    assert cards.released(released.sha256, "of-ones-own") == {}
    assert "of-ones-own" not in registry.MODELS
