"""Cards are updated beside their weights, and warn of measurements on training faces."""

import json
from pathlib import Path

import pytest

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights import cards, checkpoints
from tests.support import random_weights


def test_the_card_of_another_file_is_not_updated(tmp_path: Path) -> None:
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
        ({}, "test", "no card names"),
        ({"split": None}, "test", "no card names"),
        ({"split": {"sha256": "other"}}, "test", "trained on another split"),
        ({"split": {"sha256": "this"}}, "train", "'train' contains the faces"),
        ({"split": {"sha256": "this"}}, "all", "'all' contains the faces"),
        ({"split": {"sha256": "this"}}, "test", None),
        ({"split": {"sha256": "this"}}, "val", None),
    ],
)
def test_faces_that_may_have_been_trained_on_are_reported(
    card: dict[str, object], part: str, doubt: str | None
) -> None:
    found = cards.doubts(card, part=part, split_sha256="this")
    assert len(found) == (doubt is not None)
    assert all(str(doubt) in line for line in found)


def test_a_released_card_is_found_by_the_hash_of_its_weights() -> None:
    released = checkpoints.read(checkpoints.released_path("ssrnet"))
    assert cards.released(released.sha256, "ssrnet") == released.card
    assert cards.released("0", "ssrnet") == {}
    assert cards.released(released.sha256, "my-model") == {}
    assert "my-model" not in registry.MODELS


# Years that an app's resize may move the answers, on average.
_RESIZES = ("resize-linear", "resize-linear-antialiased", "resize-cubic")
_MOST = 0.25


@pytest.mark.parametrize("model_id", ["ssrnet", "c3ae-plain", "c3ae", "mobileagenet"])
def test_an_apps_resize_hardly_matters_to_the_released_models(model_id: str) -> None:
    weights = checkpoints.read(checkpoints.released_path(model_id))
    record = weights.card["preprocessing"]
    costs = {cost["mistake"]: cost for cost in record["costs"]}
    for mistake in _RESIZES:
        assert costs[mistake]["mean"] <= _MOST, mistake
        assert abs(costs[mistake]["change"]) <= 0.05
    assert record["weights_sha256"] == weights.sha256
