"""The README's figures on the shipped weights are those of their cards."""

import re
from pathlib import Path

import pytest

from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints

_README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("model", MODELS)
def test_the_error_in_the_readme_is_the_cards(model):
    card = checkpoints.read(checkpoints.released_path(model)).card
    told = re.search(rf"^\| `{model}` \|.*?\| (MAE|accuracy) ([\d.]+)", _README, re.MULTILINE)
    assert told, f"no row for {model}"
    if told[1] == "MAE":
        assert told[2] == f"{card['evaluation']['mae_years']:.2f}"
    else:
        assert told[2] == f"{100 * card['evaluation']['accuracy']:.1f}"


def test_the_median_baseline_is_the_cards():
    card = checkpoints.read(checkpoints.released_path("ssrnet")).card
    assert f"scores {card['evaluation']['median_mae_years']:.2f}" in _README
