"""Every model has a recipe, and a recipe's phases cover the training."""

import dataclasses

import pytest

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.training import losses, recipes
from agecompact.training.recipes import RECIPES, Phase


def test_every_model_has_a_recipe() -> None:
    assert set(RECIPES) == set(registry.MODELS)


@pytest.mark.parametrize("model_id", RECIPES)
def test_recipes_can_be_carried_out(model_id: str) -> None:
    recipe = recipes.get(model_id)
    assert recipe.loss in losses.LOSSES
    assert sum(phase.share for phase in recipe.phases) == pytest.approx(1)
    assert recipe.at(1.0)[0].side is None, "a training ends at the size that is deployed"
    registry.build(model_id, recipe.config)


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'ssrnet'"):
        recipes.get("ssrnett")


def test_the_rate_rises_then_falls_to_nothing_in_each_phase() -> None:
    small, large = Phase(0.6, 32), Phase(0.4, peak=0.5)
    recipe = dataclasses.replace(
        recipes.get("mobileagenet"), rate=1.0, warm_up=0.5, phases=(small, large)
    )
    for progress, phase, rate in [
        (0.0, small, 0.0),
        (0.15, small, 0.5),
        (0.3, small, 1.0),
        (0.45, small, 0.5),
        (0.6 - 1e-9, small, 0.0),
        (0.6, large, 0.0),
        (0.8, large, 0.5),
        (0.9, large, 0.25),
        (1.0, large, 0.0),
    ]:
        assert recipe.at(progress) == (phase, pytest.approx(rate, abs=1e-6))
