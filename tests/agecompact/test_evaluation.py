"""Measuring goes through the contract, batch by batch, and counts what it cannot read."""

from pathlib import Path

import cv2
import numpy as np
import torch

from agecompact import evaluation
from agecompact.data import utkface
from agecompact.metrics import AgeMetrics
from agecompact.models import registry


class _Brightness(torch.nn.Module):
    """Answers the mean of its input: a network whose right answers are known."""

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return face.mean(dim=(1, 2, 3), keepdim=True).flatten(1)


def test_measure(tmp_path: Path) -> None:
    ages = range(1, 101)
    for age in ages:
        cv2.imwrite(str(tmp_path / f"{age}_0_0_1.jpg"), np.full((16, 16, 3), age + 2, np.uint8))
    (tmp_path / "50_0_0_2.jpg").write_bytes(b"no image")
    contract = registry.get("ssrnet").contract
    metrics, unreadable = evaluation.measure(_Brightness(), contract, utkface.read(tmp_path).faces)
    assert unreadable == 1
    assert isinstance(metrics, AgeMetrics)
    assert metrics.n == 100
    assert abs(metrics.mae_years - 2) < 0.1, "JPEG may move a level by one"


def test_gender_is_measured_in_the_models_convention(tmp_path: Path) -> None:
    for level, gender in ((0, 1), (1, 0)):
        chip = np.full((16, 16, 3), level, np.uint8)
        cv2.imwrite(str(tmp_path / f"30_{gender}_0_1.jpg"), chip)
    contract = registry.get("ssrnet-gender").contract
    faces = utkface.read(tmp_path, "gender").faces
    metrics, _ = evaluation.measure(_Brightness(), contract, faces)
    assert metrics.to_json()["accuracy"] == 1
