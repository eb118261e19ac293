"""Hints compare the layers that student and teacher name alike, on the teacher's own inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agecompact.data import batches
from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.models.mobilenetv1 import MobileNetV1
from agecompact.training.feed import sized
from agecompact.training.hints import Hints
from agecompact.training.teacher import Teacher

_CONTRACT = sized(registry.get("mobileagenet").contract, 64)


def _features(network: nn.Module, face: Tensor) -> dict[str, Tensor]:
    """What a network's hint layers return for a face."""
    features: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _m, _i, output, name=name: features.update({name: output})
        )
        for name, layer in network.hint_layers().items()  # type: ignore[operator]
    ]
    with torch.no_grad():
        network(face)
    for hook in hooks:
        hook.remove()
    return features


class _Copycat(MobileAgeNet):
    """A student whose stages return prescribed maps."""

    maps: list[Tensor]

    def forward(self, face: Tensor) -> Tensor:
        layers = list(self.hint_layers().values())
        for layer, maps in zip(layers, self.maps, strict=False):
            for hook in layer._forward_hooks.values():
                hook(layer, (), maps)
        return face


def _teacher(network: nn.Module, model_id: str) -> Teacher:
    contract = sized(registry.get(model_id).contract, 64)
    return Teacher(network.eval().requires_grad_(False), contract, "ab")


@pytest.fixture
def efficientnet() -> Teacher:
    torch.manual_seed(1)
    return _teacher(EfficientNetLite0(), "efficientnet-lite0")


def _faces(teacher: Teacher) -> tuple[Tensor, Tensor]:
    """Two faces, as the student's and as the teacher's inputs."""
    chips = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8))
    (seen,), (seen_by_teacher,) = (batches.inputs(c, chips) for c in (_CONTRACT, teacher.contract))
    return seen, seen_by_teacher


@pytest.mark.parametrize(
    ("factors", "expected"),
    # Equal maps have no distance. Zeros have a distance of 1, and so do maps twice as large; in the
    # second case one of five stages is right.
    [((1, 1, 1, 1, 1), 0.0), ((1, 0, 0, 2, 2), 0.8)],
)
def test_the_distance_is_relative_to_the_teachers_power(
    factors: tuple[int, ...], expected: float, efficientnet: Teacher
) -> None:
    student = _Copycat()
    hints = Hints(student, _CONTRACT, efficientnet)
    seen, seen_by_teacher = _faces(efficientnet)
    wanted = _features(efficientnet.network, seen_by_teacher).values()
    student.maps = [f * maps for f, maps in zip(factors, wanted, strict=True)]
    student(seen)
    distance, prediction = hints.compare(seen)
    assert distance.item() == pytest.approx(expected, abs=1e-3 if expected else 1e-8)
    assert torch.allclose(prediction, efficientnet.network(seen_by_teacher), atol=1e-4)


def test_a_students_own_maps_fit_and_take_gradients(efficientnet: Teacher) -> None:
    student = MobileAgeNet()
    hints = Hints(student, _CONTRACT, efficientnet)
    face = torch.randn(2, 3, 64, 64)
    student(face)
    assert [maps.shape[1] for maps in hints._features.values()] == [16, 24, 40, 80, 112]
    distance, prediction = hints.compare(face)
    distance.backward()
    assert not prediction.requires_grad
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_faceres_hints_at_the_heads_features_whatever_size_the_student_sees() -> None:
    torch.manual_seed(2)
    teacher = _teacher(MobileNetV1(), "faceres")
    student = MobileAgeNet()
    hints = Hints(student, registry.get("mobileagenet").contract, teacher)
    small_face = torch.rand(2, 3, 64, 64)
    # Both contracts normalise alike, and a face enlarged by whole factors comes back unchanged.
    large_face = small_face.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    wanted = _features(teacher.network, small_face)["hidden"]
    for face in (small_face, large_face):
        own = _features(student, face)["hidden"]
        student(face)
        distance, prediction = hints.compare(face)
        assert torch.allclose(prediction, teacher.network(small_face), atol=0.05)
        expected = (own - wanted).square().mean() / wanted.square().mean()
        assert distance.item() == pytest.approx(expected.item(), rel=0.02)
        distance.backward()
        assert not prediction.requires_grad
    first = next(student.features.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ("ssrnet", "efficientnet-lite0"),
        ("ssrnet", "faceres"),
        ("efficientnet-lite0", "faceres"),
        ("c3ae", "ssrnet"),
    ],
)
def test_networks_without_a_common_hint_layer_are_refused(student: str, teacher: str) -> None:
    with pytest.raises(UsageError, match=r"no hints[\s\S]*set the stages' hints to 0"):
        Hints(
            registry.build(student),
            registry.get(student).contract,
            _teacher(registry.build(teacher), teacher),
        )


def test_another_colour_order_is_refused(efficientnet: Teacher) -> None:
    with pytest.raises(UsageError, match="one colour order"):
        Hints(MobileAgeNet(), dataclasses.replace(_CONTRACT, color_order="BGR"), efficientnet)


def test_layers_of_one_name_and_different_shapes_are_refused(efficientnet: Teacher) -> None:
    student = _Copycat()
    hints = Hints(student, _CONTRACT, efficientnet)
    student.maps = [torch.zeros(2, 1, 8, 8)] * 5
    face = torch.randn(2, 3, 64, 64)
    student(face)
    with pytest.raises(UsageError, match="hint layers 'stage1' do not match"):
        hints.compare(face)
