"""A teacher's answers are asked for once, and its maps are compared on its own terms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from agecompact.contract import Image
from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.models.efficientnet_lite import STAGE_CHANNELS, EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.models.mobilenetv1 import MobileNetV1
from agecompact.training import losses
from agecompact.training.augment import Augmentation
from agecompact.training.distillation import Hints, Teacher, answers, teacher_of
from agecompact.training.feed import Views, sized
from agecompact.training.objective import Objective
from agecompact.training.recipe import Distillation, Recipe
from agecompact.weights import checkpoints
from tests.agecompact.training import small

_CPU = torch.device("cpu")
_COUNT = 70


class _Counted(nn.Module):
    """Answers the mean of its input, and counts the faces it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, face: Tensor) -> Tensor:
        self.asked += len(face)
        return face.mean(dim=(1, 2, 3)).unsqueeze(1)


def _chips(count: int = _COUNT) -> list[Image]:
    levels = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return list(np.broadcast_to(levels, (count, 20, 20, 3)))


def _views(amounts: Augmentation = Augmentation()) -> Views:  # noqa: B008 - frozen.
    return Views(_chips(), registry.get("ssrnet").contract, amounts, 0)


def _ask(
    teacher: Teacher, store: Path, view: int = 0, views: Views | None = None
) -> tuple[npt.NDArray[np.float32], int]:
    steps = []
    told = answers(teacher, views or _views(), _COUNT, view, store, _CPU, lambda: steps.append(1))
    return told, len(steps)


@pytest.fixture
def teacher() -> Teacher:
    return Teacher(_Counted(), registry.get("ssrnet").contract, "ab")


def test_answers_are_the_teachers_and_are_asked_for_once(teacher: Teacher, tmp_path: Path) -> None:
    store = tmp_path / "told.npy"
    told, steps = _ask(teacher, store)
    # A chip of one level has that level as its mean, in the teacher's raw 0..255.
    assert told == pytest.approx(np.arange(_COUNT), abs=1e-4)
    assert (told.dtype, steps) == (np.float32, 2)
    again, steps = _ask(teacher, store)
    assert np.array_equal(told, again)
    assert steps == 0
    assert isinstance(teacher.network, _Counted)
    assert teacher.network.asked == _COUNT


def test_answers_are_to_the_very_view_that_the_student_sees(
    teacher: Teacher, tmp_path: Path
) -> None:
    views = _views(Augmentation(light=0.5))
    told, _ = _ask(teacher, tmp_path / "told.npy", view=3, views=views)
    expected = [views.image(3, index).mean() for index in range(_COUNT)]
    assert told == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("damage", ["short", "half", "text", "empty", "pickle"])
def test_answers_that_cannot_be_used_are_asked_for_again(
    damage: str, teacher: Teacher, tmp_path: Path
) -> None:
    store = tmp_path / "told.npy"
    expected, _ = _ask(teacher, store)
    content = store.read_bytes()
    if damage == "short":
        np.save(store, expected[:-1])
    elif damage == "pickle":
        np.save(store, np.array([{"code": 1}] * _COUNT, object), allow_pickle=True)
    else:
        store.write_bytes(
            {"half": content[: len(content) // 2], "text": b"x", "empty": b""}[damage]
        )
    told, steps = _ask(teacher, store)
    assert np.array_equal(told, expected)
    assert steps == 2
    assert store.read_bytes() == content


def test_a_teacher_takes_faces_through_its_own_contract(tmp_path: Path) -> None:
    seen = []

    class Spy(nn.Module):
        def forward(self, face: Tensor) -> Tensor:
            seen.append(face)
            return face.mean(dim=(1, 2, 3)).unsqueeze(1)

    contract = registry.get("efficientnet-lite0").contract
    _ask(Teacher(Spy(), contract, "ab"), tmp_path / "told.npy")
    assert torch.equal(seen[0], batches.inputs(contract, _chips()[:64])[0])


def test_a_teacher_of_a_file_is_evaluated_and_takes_no_gradient(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "t.safetensors"
    checkpoints.write(path, registry.build("ssrnet"), model_id="ssrnet")
    teacher = teacher_of(checkpoints.read(path))
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert teacher.contract == registry.get("ssrnet").contract
    assert len(teacher.sha256) == 64


class _TaughtMaps(MobileAgeNet):
    """A student whose stages give whatever maps it is told to."""

    maps: list[Tensor]

    def forward(self, face: Tensor) -> Tensor:
        given = iter(self.maps)
        for index in (1, 3, 6, 10, 12):
            for hook in self.features[index]._forward_hooks.values():
                hook(self.features[index], (), next(given))
        return face


def _teacher() -> Teacher:
    torch.manual_seed(1)
    network = EfficientNetLite0().eval().requires_grad_(False)
    return Teacher(network, sized(registry.get("efficientnet-lite0").contract, 64), "ab")


def _pair() -> tuple[_TaughtMaps, Teacher, Hints, Tensor, Tensor]:
    """A student, a teacher, their hints, and two faces as either takes them."""
    teacher, student = _teacher(), _TaughtMaps()
    own = sized(registry.get("mobileagenet").contract, 64)
    chips = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    (seen,), (seen_by_teacher,) = (batches.inputs(c, chips) for c in (own, teacher.contract))
    return student, teacher, Hints(student, own, teacher), seen, seen_by_teacher


def test_equal_maps_are_at_no_distance() -> None:
    student, teacher, hints, seen, seen_by_teacher = _pair()
    assert isinstance(teacher.network, EfficientNetLite0)
    student.maps = teacher.network.stages(seen_by_teacher)
    student(seen)
    distance, told = hints.compare(seen)
    assert distance.item() < 1e-8
    assert torch.allclose(told, teacher.network(seen_by_teacher), atol=1e-4)


def test_the_distance_is_relative_to_the_teachers_power() -> None:
    student, teacher, hints, seen, seen_by_teacher = _pair()
    assert isinstance(teacher.network, EfficientNetLite0)
    taught = teacher.network.stages(seen_by_teacher)
    # Nothing at all is at a distance of 1, twice the maps too; of five stages one is right.
    factors = (1, 0, 0, 2, 2)
    student.maps = [f * maps for f, maps in zip(factors, taught, strict=False)]
    student(seen)
    assert hints.compare(seen)[0].item() == pytest.approx(0.8, abs=1e-3)


def test_a_real_students_maps_fit_and_take_gradients() -> None:
    teacher = _teacher()
    student = MobileAgeNet()
    hints = Hints(student, sized(registry.get("mobileagenet").contract, 64), teacher)
    face = torch.randn(2, 3, 64, 64)
    student(face)
    assert [m.shape[1] for m in hints._maps.values()] == list(STAGE_CHANNELS)
    distance, told = hints.compare(face)
    distance.backward()
    assert not told.requires_grad
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_the_teacher_sees_a_students_face_as_its_own_contract_makes_it() -> None:
    _, _, hints, seen, seen_by_teacher = _pair()
    assert torch.allclose(hints._normalise(seen), seen_by_teacher, atol=1e-5)


def test_faceres_hints_at_the_heads_features_whatever_size_the_student_sees() -> None:
    torch.manual_seed(2)
    network = MobileNetV1().eval().requires_grad_(False)
    teacher = Teacher(network, sized(registry.get("faceres").contract, 64), "ab")
    student = MobileAgeNet()
    hints = Hints(student, registry.get("mobileagenet").contract, teacher)
    small_face = torch.rand(2, 3, 64, 64)
    # Both contracts normalise alike, and a face enlarged by whole factors comes back unchanged.
    large_face = small_face.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    for face in (small_face, large_face):
        student(face)
        distance, told = hints.compare(face)
        assert torch.allclose(told, network(small_face), atol=0.05)
        own = hints._maps[0]
        taught = network.hidden(small_face)
        expected = (own - taught).square().mean() / taught.square().mean()
        assert distance.item() == pytest.approx(expected.item(), rel=0.02)
        distance.backward()
        assert not told.requires_grad
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ("ssrnet", "efficientnet-lite0"),
        ("ssrnet", "faceres"),
        ("mobileagenet", "mobileagenet"),
        ("c3ae", "ssrnet"),
    ],
)
def test_pairs_without_maps_of_one_shape_are_refused(student: str, teacher: str) -> None:
    taught_by = Teacher(registry.build(teacher), registry.get(teacher).contract, "ab")
    with pytest.raises(UsageError, match=r"no hints[\s\S]*set the stages' hints to 0"):
        Hints(registry.build(student), registry.get(student).contract, taught_by)


def _mixed(weight: float | None) -> Callable[[Tensor, Tensor | None], Tensor]:
    """The loss that a training with this weight takes, of a fixed network."""
    recipe: Recipe = small.recipe("c3ae")
    taught = None if weight is None else Distillation(weight)
    recipe = dataclasses.replace(recipe, distillation=taught, config={"dropout": 0.0})
    torch.manual_seed(0)
    network = registry.build("c3ae", recipe.config).eval()
    crops = tuple(torch.rand(3, 3, 64, 64) * 255 for _ in range(3))
    objective = Objective(network, recipe, None)
    return lambda targets, told: objective(crops, targets, told)


def test_distillation_mixes_the_loss_on_labels_with_the_loss_on_answers() -> None:
    labels, told = torch.tensor([[10.0], [40.0], [80.0]]), torch.tensor([[12.0], [35.0], [60.0]])
    on_labels = _mixed(None)(labels, None).item()
    on_answers = _mixed(None)(told, None).item()
    assert on_labels != pytest.approx(on_answers, rel=1e-3)
    assert _mixed(0.0)(labels, told).item() == pytest.approx(on_labels)
    assert _mixed(1.0)(labels, told).item() == pytest.approx(on_answers)
    expected = 0.75 * on_labels + 0.25 * on_answers
    assert _mixed(0.25)(labels, told).item() == pytest.approx(expected, rel=1e-5)


def test_hints_add_their_distance_and_bring_the_teachers_answers() -> None:
    teacher = _teacher()
    recipe = small.recipe("mobileagenet", distillation=Distillation(0.5))
    torch.manual_seed(0)
    student = registry.build("mobileagenet").eval()
    hints = Hints(student, sized(registry.get("mobileagenet").contract, 64), teacher)
    objective = Objective(student, recipe, hints)
    face, labels = torch.randn(2, 3, 64, 64), torch.tensor([[30.0], [50.0]])
    objective.hint_weight = 3.0
    total = objective((face,), labels, None).item()
    distance, told = hints.compare(face)
    answer = losses.answer(student, (face,))
    mixed = (
        losses.smooth_l1(student, answer, labels) + losses.smooth_l1(student, answer, told)
    ) / 2
    assert total == pytest.approx((mixed + 3 * distance).item(), rel=1e-4)
