"""How a model is trained, as data: one TOML file per recipe, in `recipes/`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files as package_files
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from agecompact.contract import Contract
from agecompact.errors import UsageError, unknown_name
from agecompact.models import project, registry
from agecompact.serialization import read_toml, structure, toml_value
from agecompact.training.augment import Augmentation

_SUFFIX = ".toml"
_FIX = "agecompact list --recipes prints all recipes; --set takes KEY=VALUE"


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes within a stage.

    Attributes:
        shape: `constant`; `cosine`, down to `floor`; `step`, times `factor` every `epochs`; or
            `plateau`, times `factor` after `epochs` without a better validation.
        warm_up: Fraction of the stage, 0..1, during which the rate first rises from 0.
        floor: End of a cosine, relative to the stage's rate.
        factor: Used by `step` and `plateau`.
        epochs: Used by `step` and `plateau`.
    """

    shape: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    warm_up: float = 0.0
    floor: float = 0.0
    factor: float = 0.1
    epochs: int = 10

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.warm_up <= 1:
            raise ValueError("a schedule needs epochs of at least 1 and a warm_up within 0..1")


@dataclass(frozen=True)
class Stage:
    """A part of the training, with its own optimiser.

    Attributes:
        share: Its fraction of all epochs, 0..1.
        rate: Peak learning rate.
        schedule: How the rate changes.
        side: Input height and width in pixels, 0 for the contract's; training a fully convolutional
            network on small images is cheap.
        weight_decay: Decoupled (AdamW); 0 is Adam.
        rates: Learning rates relative to `rate`, by prefix of the parameters' names.
        frozen: Prefixes of modules that do not learn and whose BN keeps its statistics.
        hints: Weight of the distance to the teacher's feature maps, if the recipe distils.
    """

    share: float
    rate: float
    schedule: Schedule = field(default_factory=Schedule)
    side: int = 0
    weight_decay: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    hints: float = 0.0

    def __post_init__(self) -> None:
        if self.rate <= 0 or not 0 <= self.share <= 1:
            raise ValueError("a stage needs a rate above 0 and a share within 0..1")


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher.

    Attributes:
        weight: Fraction of the loss, 0..1, that compares with the teacher's predictions.
        views: Number of augmented views of each face that take turns, each with the teacher's
            prediction for that view (Beyer et al., CVPR 2022). 0 makes a new view each epoch, with
            the teacher's prediction for the unchanged face.
    """

    weight: float = 0.5
    views: int = 0

    def __post_init__(self) -> None:
        if self.views < 0 or not 0 <= self.weight <= 1:
            raise ValueError("distillation needs a weight within 0..1 and at least 0 views")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        model: Registered id, or a project file, relative to the recipe.
        source: The paper's section, and which of its settings the recipe follows.
        epochs: Passes over the training part.
        batch: Faces per step, over all processes.
        parts: Micro-batches per step; BN sees one at a time. Processes share them evenly, rounded
            up: two parts on one process train as two processes do.
        loss: A name of `losses.LOSSES`.
        stages: In order; their shares add up to 1.
        start: `scratch`; `backbone`, from published weights of the network's trunk; or `teacher`,
            from the weights of the teacher's trunk.
        augmentation: Changes to each chip.
        labels: Bounds that ages are clamped to, years.
        clip_norm: Bound on the gradient's norm.
        norm_momentum: Momentum of BN statistics, or 0 for the network's own.
        ema: Decay per step of the weights' moving average, which is then kept; 0 for none.
        early_stop: Epochs without a better validation after which to stop; 0 for never.
        keep: Whether the weights of the best validation or of the last epoch are kept.
        precision: `32-true`, or `bf16-mixed`, which unlike float16 needs no scaling of the loss.
        half: Whether the weights are stored in float16.
        distillation: How it learns from a teacher, if it does.
        config: Configuration of the model's factory.
    """

    model: str
    source: str
    epochs: int
    batch: int
    loss: Literal["l1", "smooth_l1", "cascade", "binary"]
    stages: tuple[Stage, ...]
    start: Literal["scratch", "backbone", "teacher"] = "scratch"
    augmentation: Augmentation = field(default_factory=Augmentation)
    labels: tuple[float, float] = (0.0, 120.0)
    clip_norm: float = 10.0
    parts: int = 1
    norm_momentum: float = 0.0
    ema: float = 0.0
    early_stop: int = 0
    keep: Literal["best", "last"] = "best"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    half: bool = False
    distillation: Distillation | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if abs(sum(stage.share for stage in self.stages) - 1) > 1e-9:
            raise ValueError("the stages' shares must add up to 1")
        if self.epochs < 1 or self.parts < 1 or self.batch < 2 * self.parts:
            raise ValueError("a training needs an epoch, and 2 faces in each part of a batch")
        if self.labels[0] >= self.labels[1] or self.clip_norm <= 0 or not 0 <= self.ema < 1:
            raise ValueError("labels need low < high, clip_norm > 0 and 0 <= ema < 1")
        if self.distillation is None and any(stage.hints for stage in self.stages):
            raise ValueError("hints need a teacher, and the recipe has no distillation")

    @property
    def contract(self) -> Contract:
        """How images become the network's inputs.

        Raises:
            UsageError: There is no such model.
        """
        return registry.contract_of(self.model, self.config)

    @property
    def stage_ends(self) -> list[int]:
        """The epoch after the last of each stage, from 0."""
        return [round(end * self.epochs) for end in accumulate(s.share for s in self.stages)]

    def stage_at(self, epoch: int) -> tuple[int, int, int]:
        """Returns an epoch's stage, by index, its first epoch and the epoch after its last."""
        ends = self.stage_ends
        index = bisect_right(ends, epoch)
        return index, ends[index - 1] if index else 0, ends[index]


def names() -> tuple[str, ...]:
    """Returns the recipes that come with the package, sorted."""
    return tuple(sorted(p.stem for p in _folder().iterdir() if p.suffix == _SUFFIX))


def load(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name: One of `names()`, or a path of a TOML file.
        overrides: `KEY=VALUE`, where the key is dotted (`stages.0.rate`, `augmentation.flip`) and
            the value TOML.

    Raises:
        UsageError: There is no such recipe or key, or a value is not valid.
    """
    path = Path(name)
    if path.suffix != _SUFFIX:
        if name not in names():
            raise unknown_name("recipe", name, names())
        path = _folder() / f"{name}{_SUFFIX}"
    table = read_toml(path, what="recipe", fix=_FIX)
    for override in overrides:
        _set(table, override)
    recipe = _of_project(structure(table, Recipe, where=f"recipe '{name}'", fix=_FIX), path)
    ends = recipe.stage_ends
    if any(end <= first for first, end in zip([0, *ends], ends, strict=False)):
        raise UsageError(
            f"{recipe.epochs} epochs leave a stage of '{name}' without any",
            why=f"its stages end with epochs {', '.join(map(str, ends))}",
            fix="train for more epochs, or --set the stages' shares",
        )
    return recipe


def _of_project(recipe: Recipe, path: Path) -> Recipe:
    """The recipe itself, or that of the model of a project file, named relative to the recipe."""
    if not project.is_project(recipe.model):
        return recipe
    spec = project.activate(path.parent / recipe.model).spec
    return replace(recipe, model=spec.id, config=recipe.config or spec.config)


def _folder() -> Path:
    return Path(str(package_files("agecompact.training") / "recipes"))


def _set(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    value = toml_value(text)
    *parents, last = key.strip().split(".")
    place: Any = table
    try:
        if not equals:
            raise KeyError(key)
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        raise UsageError(
            f"cannot set '{override}'", fix="write KEY=VALUE, such as stages.0.rate=0.001"
        ) from None
