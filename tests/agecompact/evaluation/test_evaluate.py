"""Evaluation preprocesses by the contract, batch by batch, and counts unreadable files."""

from pathlib import Path

import pytest
import torch

from agecompact.contract import Contract
from agecompact.data.face import Face, Label
from agecompact.errors import UsageError
from agecompact.evaluation import evaluate
from agecompact.evaluation.bootstrap import Bootstrap
from agecompact.evaluation.metrics import AgeMetrics, GenderMetrics, values_json
from agecompact.evaluation.prediction import NetworkModel
from agecompact.models import registry
from tests.agecompact.data.synthetic import grey

AGE = registry.get("ssrnet").contract
GENDER = registry.get("ssrnet-gender").contract


class _Brightness(torch.nn.Module):
    """Outputs the mean of its input: a network whose right output is known."""

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return face.mean(dim=(1, 2, 3), keepdim=True).flatten(1)


@pytest.fixture
def faces(tmp_path: Path) -> list[Face]:
    """100 faces that are 2 levels brighter than their age, and a file that is not an image."""
    made = [grey(tmp_path, f"{age}.png", age + 2, Label(age, age % 2)) for age in range(1, 101)]
    (tmp_path / "broken.png").write_bytes(b"no image")
    return [*made, Face("broken.png", tmp_path / "broken.png", "", Label(50))]


def test_measure(faces: list[Face]) -> None:
    metrics = evaluate.measure(_Brightness(), AGE, faces)
    assert isinstance(metrics, AgeMetrics)
    assert metrics.n == 100
    assert metrics.mae_years.value == pytest.approx(2, abs=1e-4)
    assert metrics.bias_years.value == pytest.approx(2, abs=1e-4)
    assert {name: group.n for name, group in metrics.genders.items()} == {"female": 50, "male": 50}


def test_measure_leaves_the_network_in_evaluation_mode(faces: list[Face]) -> None:
    network = _Brightness().train()
    evaluate.measure(network, AGE, faces)
    assert not network.training


def test_evaluate_adds_intervals(faces: list[Face]) -> None:
    bootstrap = Bootstrap(resamples=100, seed=3)
    found = evaluate.evaluate(NetworkModel(_Brightness(), AGE), AGE, faces, bootstrap=bootstrap)
    metrics = evaluate.measure(_Brightness(), AGE, faces)
    assert values_json(found.metrics) == values_json(metrics)
    assert found.predictions.unreadable == 1
    assert found.bootstrap == bootstrap
    assert metrics.headline.interval is None
    assert found.metrics.headline.interval is not None
    assert found.metrics.headline.interval.low == pytest.approx(2, abs=1e-4)


def test_gender_is_measured_in_the_models_convention(tmp_path: Path) -> None:
    faces = [grey(tmp_path, f"{g}.png", g, Label(30, g)) for g in (0, 1)]
    metrics = evaluate.measure(_Brightness(), GENDER, faces)
    assert isinstance(metrics, GenderMetrics)
    assert metrics.accuracy.value == 1
    assert metrics.decades[30].n == 2


@pytest.mark.parametrize(("contract", "target"), [(AGE, "age"), (GENDER, "gender")])
def test_the_contract_decides_the_target(contract: Contract, target: str) -> None:
    assert evaluate.target_of_contract(contract) == target


def test_nothing_readable_is_an_error(faces: list[Face]) -> None:
    with pytest.raises(UsageError, match="0 predictions"):
        evaluate.measure(_Brightness(), AGE, faces[-1:])
