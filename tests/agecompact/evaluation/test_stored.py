"""Evaluations that were stored: those that are read, and those that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agecompact.errors import UsageError
from agecompact.evaluation import stored
from agecompact.evaluation.bootstrap import Bootstrap, Interval
from agecompact.evaluation.metrics import gender_metrics, intervals_json, values_json
from agecompact.models.registry import MODELS
from agecompact.weights import checkpoints


def _content() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "measured": {"file": "a.onnx", "sha256": "1" * 64, "more": None},
        "warnings": ["a doubt"],
        "evaluation": {
            "dataset": "utkface",
            "part": "test",
            "n": 9,
            "mae_years": 5.0,
            "bias_years": 1.0,
            "decades": {
                "10": {"n": 1, "mae_years": 7.0, "bias_years": 7.0},
                "0": {"n": 8, "mae_years": 4.0, "bias_years": 0.5},
            },
            "intervals": {
                "mae_years": {"low": 4.0, "high": 6.0},
                "decades": {"0": {"low": 3.0, "high": 5.0}, "10": None},
            },
        },
    }


def _read(tmp_path: Path, content: Any) -> stored.Stored:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(content))
    return stored.read(path)


def test_figures_are_read_with_their_intervals_in_the_order_of_ages(tmp_path: Path) -> None:
    found = _read(tmp_path, _content())
    assert (found.file, found.sha256, found.warnings) == ("a.onnx", "1" * 64, ("a doubt",))
    assert found.overall == stored.StoredGroup(9, 5.0, Interval(4.0, 6.0), 1.0)
    assert list(found.decades) == [0, 10]
    assert found.decades[10].interval is None


@pytest.mark.parametrize("model", MODELS)
def test_the_cards_of_released_weights_are_read(model: str) -> None:
    card = json.loads(checkpoints.card_path(checkpoints.released_path(model)).read_text())
    found = stored.of_card(card)
    assert found.overall.n == sum(group.n for group in found.decades.values())
    assert found.figure == ("accuracy" if model == "ssrnet-gender" else "MAE, years")


def test_an_accuracy_is_read_as_the_metrics_write_it(tmp_path: Path) -> None:
    import numpy as np

    scores, true = np.array([0.1, 0.9, 0.2, 0.4]), np.array([0, 1, 0, 1])
    metrics = gender_metrics(scores, true, np.array([5, 15, 25, 8]), Bootstrap(resamples=50))
    content = _content()
    content["evaluation"] = {
        "dataset": "utkface",
        "part": "all",
        **values_json(metrics),
        "intervals": intervals_json(metrics),
    }
    found = _read(tmp_path, content)
    assert (found.figure, found.overall.value) == ("accuracy", 0.75)
    assert found.decades[0].value == 0.5


@pytest.mark.parametrize(
    "break_it",
    [
        lambda c: c.update(schema_version=2),
        lambda c: c.pop("measured"),
        lambda c: c.pop("evaluation"),
        lambda c: c.update(evaluation=[]),
        lambda c: c["evaluation"].update(n="9"),
        lambda c: c["evaluation"].pop("mae_years"),
        lambda c: c["evaluation"].update(mae_years=None),
        lambda c: c["evaluation"].update(decades={"young": {"n": 1, "mae_years": 1.0}}),
        lambda c: c["evaluation"]["decades"].update({"20": {"n": 1}}),
        lambda c: c["evaluation"]["intervals"].pop("decades"),
    ],
)
def test_what_is_no_evaluation_is_refused(break_it: Any, tmp_path: Path) -> None:
    content = _content()
    break_it(content)
    with pytest.raises(UsageError, match="cannot read"):
        _read(tmp_path, content)


def test_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        _read(tmp_path, [])
