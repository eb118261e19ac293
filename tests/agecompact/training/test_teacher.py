"""A teacher's predictions are computed once, through its own contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.models import registry
from agecompact.training.augment import Augmentation
from agecompact.training.feed import Views
from agecompact.training.teacher import Teacher, predictions, teacher_of
from agecompact.weights import checkpoints

_COUNT = 70


class _Mean(nn.Module):
    """Predicts the mean of its input, and keeps the inputs it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, face: Tensor) -> Tensor:
        self.seen.append(face)
        return face.mean(dim=(1, 2, 3)).unsqueeze(1)


def _chips() -> list[Image]:
    levels = np.arange(_COUNT, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return list(np.broadcast_to(levels, (_COUNT, 20, 20, 3)))


def _views(amounts: Augmentation = Augmentation()) -> Views:  # noqa: B008 - frozen.
    return Views(_chips(), registry.get("ssrnet").contract, amounts, 0)


def _predict(
    teacher: Teacher, store: Path, view: int = 0, views: Views | None = None
) -> tuple[npt.NDArray[np.float32], int]:
    """The predictions, and the number of steps that they took."""
    steps: list[int] = []
    predicted = predictions(
        teacher,
        views or _views(),
        _COUNT,
        view,
        store,
        torch.device("cpu"),
        lambda: steps.append(1),
    )
    return predicted, len(steps)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher(_Mean(), registry.get("ssrnet").contract, "ab")


def test_predictions_are_computed_once(teacher: Teacher, tmp_path: Path) -> None:
    store = tmp_path / "teacher.npy"
    predicted, steps = _predict(teacher, store)
    # A chip of one level has that level as its mean, in the teacher's raw 0..255.
    assert predicted == pytest.approx(np.arange(_COUNT), abs=1e-4)
    assert (predicted.dtype, steps) == (np.float32, 2)
    again, steps = _predict(teacher, store)
    assert np.array_equal(predicted, again)
    assert steps == 0
    assert isinstance(teacher.network, _Mean)
    assert sum(map(len, teacher.network.seen)) == _COUNT


def test_predictions_are_for_the_view_that_the_student_sees(
    teacher: Teacher, tmp_path: Path
) -> None:
    views = _views(Augmentation(light=0.5))
    predicted, _ = _predict(teacher, tmp_path / "teacher.npy", view=3, views=views)
    expected = [views.image(3, index).mean() for index in range(_COUNT)]
    assert predicted == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("damage", ["short", "half", "text", "empty", "pickle"])
def test_a_damaged_file_of_predictions_is_replaced(
    damage: str, teacher: Teacher, tmp_path: Path
) -> None:
    store = tmp_path / "teacher.npy"
    expected, _ = _predict(teacher, store)
    content = store.read_bytes()
    if damage == "short":
        np.save(store, expected[:-1])
    elif damage == "pickle":
        np.save(store, np.array([{"code": 1}] * _COUNT, object), allow_pickle=True)
    else:
        store.write_bytes(
            {"half": content[: len(content) // 2], "text": b"x", "empty": b""}[damage]
        )
    predicted, steps = _predict(teacher, store)
    assert np.array_equal(predicted, expected)
    assert steps == 2
    assert store.read_bytes() == content


def test_a_teacher_sees_faces_through_its_own_contract(tmp_path: Path) -> None:
    network, contract = _Mean(), registry.get("efficientnet-lite0").contract
    _predict(Teacher(network, contract, "ab"), tmp_path / "teacher.npy")
    assert torch.equal(network.seen[0], batches.inputs(contract, _chips()[:64])[0])


def test_a_teacher_from_a_file_is_in_evaluation_mode_without_gradients(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    checkpoints.write(path, registry.build("ssrnet"), model_id="ssrnet")
    teacher = teacher_of(checkpoints.read(path))
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert teacher.contract == registry.get("ssrnet").contract
    assert len(teacher.sha256) == 64
