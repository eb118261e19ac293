"""Recipes are data: each follows its paper, can be run, and takes valid overrides."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.models.mobileagenet import MobileAgeNet
from agecompact.training import losses
from agecompact.training import recipe as recipes
from agecompact.training.recipe import Distillation, Recipe, Schedule, Stage

_MINIMAL = """
model = "ssrnet"
source = "mine"
epochs = 3
batch = 4
loss = "l1"
stages = [{ share = 1.0, rate = 0.1 }]
"""


def test_every_model_has_a_recipe() -> None:
    trained = {recipes.load(name).model for name in recipes.names()}
    assert trained == {*registry.MODELS, *registry.TEACHERS}


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_can_be_run_and_cite_their_papers(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.loss in losses.LOSSES
    papers = ("SSR-Net", "C3AE", "MobileAgeNet", "Tan & Le", "Savchenko")
    assert any(paper in recipe.source for paper in papers)
    assert recipe.stages[-1].side == 0, "a training ends at the deployed size"
    names = [key for key, _ in registry.build(recipe.model, recipe.config).named_parameters()]
    for stage in recipe.stages:
        for prefix in (*stage.frozen, *stage.rates):
            assert any(key.startswith(f"{prefix}.") for key in names)
    gender = registry.get(recipe.model).contract.outputs[0].unit == "score"
    assert gender or recipe.loss != "binary"


@pytest.mark.parametrize("name", ["ssrnet", "ssrnet-gender"])
def test_ssrnet_follows_its_paper(name: str) -> None:
    recipe = recipes.load(name)
    assert (recipe.epochs, recipe.batch, recipe.loss) == (90, 50, "l1")
    (stage,) = recipe.stages
    assert stage.rate == 0.002
    assert stage.weight_decay == 0, "Adam, not AdamW"
    assert stage.schedule == Schedule("step", factor=0.1, epochs=30)
    amounts = recipe.augmentation
    assert min(amounts.zoom, amounts.shift, amounts.shear, amounts.flip) > 0
    assert recipe.precision == "32-true"


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "dropout", "patience", "erases"),
    [
        ("c3ae-plain", 160, 0.002, 0.2, 10, False),
        ("c3ae-study1", 160, 0.002, 0.2, 10, False),
        ("c3ae-study2", 600, 0.005, 0.3, 20, True),
    ],
)
def test_c3ae_follows_its_paper(
    name: str, epochs: int, rate: float, dropout: float, patience: int, erases: bool
) -> None:
    recipe = recipes.load(name)
    assert (recipe.epochs, recipe.batch) == (epochs, 50)
    (stage,) = recipe.stages
    assert (stage.rate, stage.weight_decay) == (rate, 1e-4)
    assert (stage.schedule.shape, stage.schedule.epochs) == ("plateau", patience)
    assert recipe.config["dropout"] == dropout
    assert (recipe.augmentation.erase > 0) == erases
    assert recipe.loss == ("l1" if name == "c3ae-plain" else "cascade")


def test_mobileagenet_follows_its_paper() -> None:
    recipe = recipes.load("mobileagenet")
    assert (recipe.epochs, recipe.batch, recipe.clip_norm) == (100, 64, 2.0)
    assert (recipe.loss, recipe.labels, recipe.start) == ("smooth_l1", (1.0, 95.0), "backbone")
    head, whole = recipe.stages
    assert [recipe.stage_at(epoch)[0] for epoch in (0, 4, 5, 99)] == [0, 0, 1, 1]
    assert (head.rate, whole.rate) == (1.4162e-3, 1.4162e-3)
    assert (head.frozen, whole.frozen) == (("features",), ())
    assert (head.weight_decay, whole.weight_decay) == (1e-4, 5e-5)
    assert (head.schedule.floor, whole.schedule.floor) == (0.1, 0.01)
    assert (head.schedule.warm_up, whole.schedule.warm_up) == (0, 0)
    assert whole.rates == {"features": 0.1}
    network = registry.build(recipe.model, recipe.config)
    assert isinstance(network, MobileAgeNet)
    assert network.head[2].p == 0.1807
    assert network.head[5].p == pytest.approx(0.1807 / 2)


def test_a_toml_file_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_MINIMAL)
    assert recipes.load(str(path)) == Recipe("ssrnet", "mine", 3, 4, "l1", (Stage(1.0, 0.1),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no recipe at"),
        (b"model = ", "cannot read recipe"),
        (b"\xff\xfe", "cannot read recipe"),
        (b"model = 'ssrnet'", "a field is missing at source"),
        (_MINIMAL.replace("1.0", "0.9").encode(), "shares must add up to 1"),
        (_MINIMAL.replace("epochs = 3", "epochs = 0").encode(), "needs an epoch"),
        (_MINIMAL.replace("batch = 4", "batch = 1").encode(), "2 faces"),
        (f"{_MINIMAL}[x]\ny = 1".encode(), "unknown fields: x"),
    ],
)
def test_an_invalid_recipe_file_is_refused(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        recipes.load(str(path))


def test_overrides_reach_any_depth_and_the_last_one_wins() -> None:
    recipe = recipes.load(
        "mobileagenet",
        [
            "epochs=20",
            "epochs=40",
            "loss=l1",
            "precision=bf16-mixed",
            "labels=[0, 100.0]",
            "augmentation.flip=false",
            "stages.1.rate=1",
            "stages.1.schedule.floor = 0.5",
            'stages.0.frozen=["features.0", "head"]',
            "config.dropout=0.3",
            "distillation.views=2",
            "stages.1.rates={ features = 0.2 }",
        ],
    )
    before = recipes.load("mobileagenet")
    assert (recipe.epochs, recipe.loss, recipe.precision) == (40, "l1", "bf16-mixed")
    assert recipe.labels == (0.0, 100.0)
    assert recipe.augmentation == dataclasses.replace(before.augmentation, flip=False)
    assert recipe.stages[1].rate == 1.0
    assert recipe.stages[1].schedule == Schedule("cosine", floor=0.5)
    assert recipe.stages[1].rates == {"features": 0.2}
    assert recipe.stages[0].frozen == ("features.0", "head")
    assert recipe.config == {"dropout": 0.3}
    assert recipe.distillation == Distillation(views=2)
    assert (recipe.batch, recipe.stages[0].rate) == (before.batch, before.stages[0].rate)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "cannot set 'epochs'"),
        ("stages.7.rate=1", r"cannot set 'stages\.7"),
        ("stages.first.rate=1", r"cannot set 'stages\.first"),
        ("augmentation.zoom.x=1", r"cannot set 'augmentation\.zoom\.x"),
        ("epoch=1", "unknown fields: epoch"),
        ("stages.0.rat=1", r"unknown fields: rat at stages\[0\]"),
        ("epochs=2.7", r"2\.7 is not an integer at epochs"),
        ("epochs=true", r"True is not an integer at epochs"),
        ("batch=many", r"'many' is not an integer at batch"),
        ("half=1", r"1 is not true or false at half"),
        ("augmentation.flip=no", r"'no' is not true or false at augmentation\.flip"),
        # As in Python; converted, any text that is not empty would be true.
        ("augmentation.flip=False", r"'False' is not true or false at augmentation\.flip"),
        ("stages.0.rate='1e-3'", r"'1e-3' is not a number at stages\[0\]\.rate"),
        ("stages.0.rate=nan", r"'nan' is not a number at stages\[0\]\.rate"),
        ("stages.0.rate=inf", r"'inf' is not a number at stages\[0\]\.rate"),
        ("stages.0.frozen='features'", r"'features' is not a list at stages\[0\]\.frozen"),
        ("stages.1.rates={ features = 'slow' }", r"'slow' is not a number at stages\[1\]\.rates"),
        ("stages=1", r"1 is not a list at stages"),
        ("labels=[1]", "is not a list of 2 at labels"),
        ("loss=l3", "'l3' is none of .* at loss"),
        ("model=3", r"3 is not text at model"),
        ("labels=[95.0, 1.0]", "low < high"),
        ("clip_norm=0", "clip_norm > 0"),
        ("ema=1.0", "ema < 1"),
        ("parts=0", "2 faces"),
        ("parts=33", "2 faces"),
        ("stages.0.rate=-1.0", r"above 0.* at stages\[0\]"),
        ("stages.0.schedule.epochs=0", r"at least 1.* at stages\[0\]\.schedule"),
        ("distillation.weight=2.0", r"within 0\.\.1.* at distillation"),
        ("stages.0.hints=1.0", "no distillation"),
        ("stages=[]", "add up to 1"),
        ("epochs=8", "8 epochs leave a stage of 'mobileagenet' without any"),
    ],
)
def test_an_invalid_override_is_refused_with_its_key(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipes.load("mobileagenet", [override])


_KINDS = {"epochs": int, "batch": int, "clip_norm": float, "half": bool, "source": str}


@given(
    key=st.sampled_from(sorted(_KINDS)),
    value=st.one_of(
        st.booleans(),
        st.integers(2, 10**6),
        st.floats(0.5, 1e6),
        # Quoted as TOML literal strings, which have no escapes.
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'")),
        st.lists(st.integers(), max_size=2),
    ),
)
def test_a_value_is_taken_unchanged_or_refused(key: str, value: object) -> None:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    if isinstance(value, str):
        text = f"'{value}'"
    # An integer is a valid float, in TOML as in Python.
    fits = (type(value) is _KINDS[key]) or (_KINDS[key] is float and type(value) is int)
    override = f"{key}={text}"
    if fits:
        taken = getattr(recipes.load("ssrnet", [override]), key)
        assert taken == value
        assert type(taken) is _KINDS[key]
    else:
        with pytest.raises(UsageError, match=f" at {key}"):
            recipes.load("ssrnet", [override])


@given(
    epochs=st.integers(1, 200),
    weights=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_stages_leave_no_gap(epochs: int, weights: list[int]) -> None:
    stages = tuple(Stage(weight / sum(weights), 0.1) for weight in weights)
    recipe = Recipe("ssrnet", "mine", epochs, 4, "l1", stages)
    places = [recipe.stage_at(epoch) for epoch in range(epochs)]
    assert places[0][1] == 0
    assert places[-1][2] == epochs
    for epoch, (index, first, end) in enumerate(places):
        assert first <= epoch < end
        assert end - first == sum(place[0] == index for place in places)
    assert [place[0] for place in places] == sorted(place[0] for place in places)
