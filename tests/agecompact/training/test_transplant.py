"""A transplanted trunk resembles its teacher on faces that it was not fitted on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agecompact.contract import Contract
from agecompact.models import registry
from agecompact.models.efficientnet_lite import EfficientNetLite0
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.training.feed import sized
from agecompact.training.hints import Hints
from agecompact.training.teacher import Teacher
from agecompact.training.transplant import transplant

_SIDE = 64


def _contract(model_id: str) -> Contract:
    return sized(registry.get(model_id).contract, _SIDE)


def _faces(count: int) -> tuple[Tensor, Tensor]:
    """Smooth pictures, as inputs of the student and of the teacher."""
    coarse = torch.rand(count, 3, 9, 9) * 255
    levels = nn.functional.interpolate(coarse, (_SIDE, _SIDE), mode="bicubic").clamp(0, 255)
    own = registry.get("mobileagenet").contract
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (own.mean, own.std))
    return (levels / 255 - mean) / std, (levels - 127) / 128


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _measure_norms(network: nn.Module, seen: Tensor) -> None:
    """Gives norms the statistics of some faces."""
    for norm in _norms(network):
        norm.momentum = None
    with torch.no_grad():
        network.train()(seen)


@pytest.fixture(scope="module")
def teacher() -> EfficientNetLite0:
    """Random weights, with norms that vary."""
    torch.manual_seed(0)
    network = EfficientNetLite0()
    for norm in _norms(network):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    _measure_norms(network, _faces(32)[1])
    return network.eval().requires_grad_(False)


def _distance(student: MobileAgeNet, teacher: EfficientNetLite0, seen: Tensor) -> float:
    taught = Teacher(teacher, _contract("efficientnet-lite0"), "ab")
    hints = Hints(student, _contract("mobileagenet"), taught)
    with torch.no_grad():
        student.eval()(seen)
    return hints.compare(seen)[0].item()


@pytest.fixture(scope="module")
def fresh() -> MobileAgeNet:
    """With statistics of some faces, so that it differs only by its weights."""
    torch.manual_seed(1)
    student = MobileAgeNet()
    _measure_norms(student, _faces(32)[0])
    return student


@pytest.fixture(scope="module")
def transplanted(teacher: EfficientNetLite0) -> MobileAgeNet:
    torch.manual_seed(1)
    student = MobileAgeNet()
    # The least squares have up to 672 unknowns, and a face of this size has 16 pixels.
    transplant(teacher, student, *_faces(128))
    return student


def test_it_is_far_nearer_to_the_teachers_maps_than_a_fresh_network(
    teacher: EfficientNetLite0, fresh: MobileAgeNet, transplanted: MobileAgeNet
) -> None:
    torch.manual_seed(2)
    seen, _ = _faces(16)
    near, far = (_distance(student, teacher, seen) for student in (transplanted, fresh))
    # Zeros have a distance of 1, and unrelated maps have more.
    assert far > 0.9
    assert near < 0.9
    assert near < 0.5 * far


def test_the_head_and_the_last_convolution_do_not_change(transplanted: MobileAgeNet) -> None:
    torch.manual_seed(1)
    before = MobileAgeNet().state_dict()
    after = transplanted.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name].shape == before[name].shape for name in before)
    same = {name for name in before if torch.equal(after[name], before[name])}
    kept = {name for name in before if name.startswith(("head.", "features.16."))}
    assert kept <= same
    # The teacher has no counterpart of the gates' first layers.
    changed = {n for n in before if n.endswith(".weight") and not n.startswith(tuple(kept))}
    gates = {name for name in changed if ".fc1." in name}
    assert not (changed - gates - kept) & same


def test_the_result_is_finite_and_can_be_trained(transplanted: MobileAgeNet) -> None:
    count = sum(parameter.numel() for parameter in transplanted.parameters())
    assert count == 3_234_481
    assert {norm.momentum for norm in _norms(transplanted)} == {0.01}
    assert all(parameter.requires_grad for parameter in transplanted.parameters())
    assert all(parameter.grad is None for parameter in transplanted.parameters())
    assert all(torch.isfinite(value).all() for value in transplanted.state_dict().values())


def test_the_statistics_are_those_of_the_faces_it_was_fitted_on(
    teacher: EfficientNetLite0,
) -> None:
    torch.manual_seed(3)
    student = MobileAgeNet()
    seen, seen_by_teacher = _faces(24)
    transplant(teacher, student, seen, seen_by_teacher)
    with torch.no_grad():
        first = student.features[0][0](seen)  # type: ignore[index]
    norm = student.features[0][1]  # type: ignore[index]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, first.mean(dim=(0, 2, 3)), atol=1e-4)
