"""`agecompact train` and `agecompact evaluate`, from a folder of chips to a measured file."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agecompact import checkpoints
from agecompact.commands import evaluate, train
from agecompact.data import splits, utkface
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.training import recipes

REAL_DATA = os.environ.get("AGECOMPACT_DATA")


def run(verb: object, *arguments: object) -> Result:
    return CliRunner().invoke(verb.command, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def trained(tiny_utkface: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    result = run(train, "c3ae", "--data", tiny_utkface, "--out", out, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "epoch 1/1" in result.output
    return out / "c3ae.safetensors"


def test_training_leaves_weights_and_card_and_nothing_else(trained: Path) -> None:
    assert sorted(p.name for p in trained.parent.iterdir()) == ["c3ae.json", "c3ae.safetensors"]
    weights = checkpoints.read(trained)
    assert weights.config == recipes.get("c3ae").config


def test_the_card_says_where_the_weights_come_from(trained: Path, tiny_utkface: Path) -> None:
    card = checkpoints.read(trained).card
    assert card["data"]["terms"] == "UTKFace: non-commercial research use only"
    assert card["split"]["sha256"] == splits.split(utkface.read(tiny_utkface).faces).sha256
    assert card["training"]["command"] == "agecompact train c3ae --epochs 1 --threads 1"
    assert len(card["training"]["history"]) == 1
    assert str(tiny_utkface) not in json.dumps(card)


def test_evaluate_repeats_the_card(trained: Path, tiny_utkface: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    result = run(evaluate, "--weights", trained, "--data", tiny_utkface, "--json", target)
    assert result.exit_code == 0, result.output
    assert "MAE" in result.output
    record = json.loads(target.read_text())
    card = checkpoints.read(trained).card["evaluation"]
    assert record["n"] == card["n"] == 8
    assert record["mae_years"] == pytest.approx(card["mae_years"], abs=1e-4)
    assert set(record["ca"]) == {"3", "5", "10"}


def test_json_on_standard_output_stands_alone(
    trained: Path, tiny_utkface: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGECOMPACT_DATA", str(tiny_utkface))
    result = run(evaluate, "--weights", trained, "--split", "val", "--json", "-")
    assert json.loads(result.stdout)["part"] == "val"


def test_a_gender_model_is_measured_by_accuracy(tiny_utkface: Path, tmp_path: Path) -> None:
    arguments = ("--data", tiny_utkface, "--out", tmp_path, "--epochs", 1)
    result = run(train, "ssrnet-gender", *arguments)
    assert result.exit_code == 0, result.output
    assert (
        0
        <= checkpoints.read(tmp_path / "ssrnet-gender.safetensors").card["evaluation"]["accuracy"]
        <= 1
    )


def test_training_goes_on_from_given_weights(
    trained: Path, tiny_utkface: Path, tmp_path: Path
) -> None:
    arguments = ("--data", tiny_utkface, "--out", tmp_path, "--epochs", 1, "--start", trained)
    result = run(train, "c3ae", *arguments)
    assert result.exit_code == 0, result.output
    first, second = (
        checkpoints.read(path / "c3ae.safetensors") for path in (trained.parent, tmp_path)
    )
    assert second.config == first.config
    assert second.card["training"]["start"]["sha256"] == first.sha256
    assert (
        second.card["training"]["history"][0]["loss"] < first.card["training"]["history"][0]["loss"]
    )

    result = run(train, "ssrnet", *arguments)
    assert "holds 'c3ae', not 'ssrnet'" in str(result.exception)


def test_evaluate_takes_a_model_or_a_file(trained: Path, tiny_utkface: Path) -> None:
    for arguments in ((), ("c3ae", "--weights", trained)):
        with pytest.raises(UsageError, match="either a MODEL or a file"):
            raise run(evaluate, *arguments, "--data", tiny_utkface).exception


def test_an_unknown_model_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    result = run(train, "ssrnett", "--data", tmp_path / "absent", "--out", tmp_path)
    assert "did you mean 'ssrnet'" in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA, reason="AGECOMPACT_DATA does not name the UTKFace folder")
# MobileAgeNet takes minutes on the whole test part.
@pytest.mark.parametrize("model_id", [m for m in registry.MODELS if m != "mobileagenet"])
def test_released_weights_score_what_their_card_says(model_id: str) -> None:
    result = run(evaluate, model_id, "--data", REAL_DATA, "--json", "-")
    record = json.loads(result.stdout)
    card = checkpoints.read(checkpoints.released_path(model_id)).card
    assert record["split_sha256"] == card["split"]["sha256"]
    for figure in {"mae_years", "accuracy"} & set(record):
        assert record[figure] == pytest.approx(card["evaluation"][figure], abs=0.01)
