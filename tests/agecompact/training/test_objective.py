"""The objective mixes the loss on labels, the loss on a teacher's predictions, and hints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.training import losses
from agecompact.training.hints import Hints
from agecompact.training.objective import Objective, loss_features
from agecompact.training.recipe import Distillation
from agecompact.training.teacher import Teacher
from tests.agecompact.training import small


@pytest.mark.parametrize("model_id", [*registry.MODELS, *registry.TEACHERS])
def test_the_features_are_the_networks_own_output_in_float32(model_id: str) -> None:
    torch.manual_seed(0)
    network = registry.build(model_id).eval()
    crops = tuple(torch.rand(2, 3, 64, 64) for _ in registry.get(model_id).contract.crops)
    with torch.no_grad():
        features = loss_features(network, crops)
        assert torch.equal(features.value, network(*crops))
        with torch.autocast("cpu", torch.bfloat16):
            half = loss_features(network, crops)
    assert half.value.dtype == torch.float32
    assert (features.bins is None) == (model_id != "c3ae")
    if features.bins is not None and half.bins is not None:
        assert torch.allclose(features.bins.shares.sum(dim=1), torch.ones(2))
        assert half.bins.shares.dtype == torch.float32


def test_an_output_of_another_shape_is_refused() -> None:
    # Against targets (N, 1), such an output would be broadcast to (N, N) without an error.
    with pytest.raises(UsageError, match=r"output for 2 faces is \(2,\)"):
        loss_features(nn.Flatten(0), (torch.zeros(2, 1),))


def test_a_loss_on_bins_needs_a_network_with_bins() -> None:
    objective = Objective(registry.build("ssrnet"), small.recipe("c3ae"), None)
    with pytest.raises(UsageError, match=r"'cascade' needs[\s\S]*SSRNet has none"):
        objective((torch.zeros(2, 3, 64, 64),), torch.zeros(2, 1), None)


def _loss(weight: float | None) -> Callable[[Tensor, Tensor | None], Tensor]:
    """The loss of a fixed network, as a function of labels and teacher targets."""
    recipe = small.recipe("c3ae")
    distillation = None if weight is None else Distillation(weight)
    recipe = dataclasses.replace(recipe, distillation=distillation, config={"dropout": 0.0})
    torch.manual_seed(0)
    network = registry.build("c3ae", recipe.config).eval()
    crops = tuple(torch.rand(3, 3, 64, 64) * 255 for _ in range(3))
    objective = Objective(network, recipe, None)
    return lambda targets, teacher_targets: objective(crops, targets, teacher_targets)


def test_distillation_mixes_the_losses_on_labels_and_on_predictions() -> None:
    labels = torch.tensor([[10.0], [40.0], [80.0]])
    predicted = torch.tensor([[12.0], [35.0], [60.0]])
    on_labels = _loss(None)(labels, None).item()
    on_predictions = _loss(None)(predicted, None).item()
    assert on_labels != pytest.approx(on_predictions, rel=1e-3)
    assert _loss(0.0)(labels, predicted).item() == pytest.approx(on_labels)
    assert _loss(1.0)(labels, predicted).item() == pytest.approx(on_predictions)
    expected = 0.75 * on_labels + 0.25 * on_predictions
    assert _loss(0.25)(labels, predicted).item() == pytest.approx(expected, rel=1e-5)


def test_hints_add_their_distance_and_the_teachers_predictions() -> None:
    torch.manual_seed(1)
    network = registry.build("efficientnet-lite0").eval().requires_grad_(False)
    teacher = Teacher(network, small.contract("efficientnet-lite0"), "ab")
    recipe = small.recipe("mobileagenet", distillation=Distillation(0.5))
    student = registry.build("mobileagenet").eval()
    hints = Hints(student, small.contract("mobileagenet"), teacher)
    objective = Objective(student, recipe, hints)
    face, labels = torch.randn(2, 3, 64, 64), torch.tensor([[30.0], [50.0]])
    objective.hint_weight = 3.0
    total = objective((face,), labels, None).item()
    distance, predicted = hints.compare(face)
    features = loss_features(student, (face,))
    mixed = (losses.smooth_l1(features, labels) + losses.smooth_l1(features, predicted)) / 2
    assert total == pytest.approx((mixed + 3 * distance).item(), rel=1e-4)
