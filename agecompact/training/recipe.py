"""How a model is trained, as data: one TOML file a recipe, in `recipes/`."""

from __future__ import annotations

import math
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from agecompact.errors import UsageError, unknown_name
from agecompact.imports import import_extra
from agecompact.training.augment import Augmentation

_SUFFIX = ".toml"


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes within a stage.

    Attributes:
        shape: `constant`; `cosine` down to `floor`; `step`, times `factor` every `epochs`; or
            `plateau`, times `factor` after `epochs` without a better validation.
        warm_up: Part of the stage, 0..1, over which the rate first rises from 0.
        floor: Where a cosine ends, relative to the stage's rate.
        factor: Of `step` and `plateau`.
        epochs: Of `step` and `plateau`.
    """

    shape: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    warm_up: float = 0.0
    floor: float = 0.0
    factor: float = 0.1
    epochs: int = 10

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.warm_up <= 1:
            raise ValueError("a schedule's epochs are at least 1, and its warm_up within 0..1")


@dataclass(frozen=True)
class Stage:
    """A part of the training, with an optimiser of its own.

    Attributes:
        share: The part of all epochs, 0..1.
        rate: Peak learning rate.
        schedule: How the rate goes.
        side: Input height and width in pixels, 0 for the contract's; a fully convolutional network
            learns cheaply on small images.
        weight_decay: Decoupled (AdamW); 0 is Adam.
        rates: Learning rates relative to `rate`, by prefix of the parameters' names.
        frozen: Prefixes of modules that do not learn and whose BN keeps its statistics.
        hints: Weight of the distance to the teacher's maps, where the recipe distils.
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
            raise ValueError("a stage's rate is above 0, and its share within 0..1")


@dataclass(frozen=True)
class Distillation:
    """What is learnt from a teacher.

    Attributes:
        weight: Part of the loss, 0..1, that is measured against the teacher's answers.
        views: Augmented views of each face that are shown in turn, each with the teacher's answer
            to that very view (Beyer et al., CVPR 2022). 0 shows ever new views, with the teacher's
            answer to the plain face.
    """

    weight: float = 0.5
    views: int = 0

    def __post_init__(self) -> None:
        if self.views < 0 or not 0 <= self.weight <= 1:
            raise ValueError("distillation has a weight within 0..1, and no fewer than 0 views")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        model: Registered id.
        source: The paper's section, and what of it is followed.
        epochs: Passes over the training part.
        batch: Faces a step, over all processes.
        parts: In how many parts a step's faces pass; BN sees a part at a time. As many for each
            process, rounded up: two parts on one process are what two processes do.
        loss: A name of `losses.LOSSES`.
        stages: In turn; their shares add up to 1.
        start: `scratch`; `backbone`, from published weights of the network's trunk; or
            `teacher`, from the teacher's weights as far as they fit.
        augmentation: Changes to each chip.
        labels: Bounds that ages are clamped to, years.
        clip_norm: Bound on the gradient's norm.
        norm_momentum: How fast BN statistics follow, or 0 for the network's own.
        ema: Decay a step of the weights' moving average, which is what is kept; 0 is none.
        early_stop: Epochs without a better validation after which to stop; 0 is never.
        keep: Whether the weights of the best validation or of the last epoch are kept.
        precision: `32-true`, or `bf16-mixed`, which unlike float16 needs no scaling of the loss.
        half: Whether the weights are stored in float16.
        distillation: What is learnt from a teacher, if anything.
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
            raise ValueError("the stages' shares add up to 1")
        if self.epochs < 1 or self.parts < 1 or self.batch < 2 * self.parts:
            raise ValueError("a training needs an epoch, and 2 faces in each of a batch's parts")
        if self.labels[0] >= self.labels[1] or self.clip_norm <= 0 or not 0 <= self.ema < 1:
            raise ValueError("labels go from low to high, clip_norm is above 0, ema from 0 below 1")
        if self.distillation is None and any(stage.hints for stage in self.stages):
            raise ValueError("hints come from a teacher, and the recipe has no distillation")

    @property
    def stage_ends(self) -> list[int]:
        """The epoch after the last of each stage."""
        return [round(end * self.epochs) for end in accumulate(s.share for s in self.stages)]

    def stage_at(self, epoch: int) -> tuple[int, int, int]:
        """Index of an epoch's stage, the stage's first epoch and the epoch after its last."""
        ends = self.stage_ends
        index = bisect_right(ends, epoch)
        return index, ends[index - 1] if index else 0, ends[index]


def names() -> tuple[str, ...]:
    """The recipes that come with the package, sorted."""
    return tuple(sorted(p.stem for p in _folder().iterdir() if p.suffix == _SUFFIX))


def load(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        name: One of `names()`, or a path of a TOML file.
        overrides: `KEY=VALUE`, where the key is dotted (`stages.0.rate`, `augmentation.flip`) and
            the value TOML.

    Raises:
        UsageError: No such recipe or key, or a value that does not fit.
        BackendMissingError: The `train` extra is not installed.
    """
    path = Path(name)
    if path.suffix != _SUFFIX:
        if name not in names():
            raise unknown_name("recipe", name, names())
        path = _folder() / f"{name}{_SUFFIX}"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"no recipe at {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML", why=str(error)) from None
    for override in overrides:
        _set(table, override)
    recipe = _structure(table, name)
    ends = recipe.stage_ends
    if any(end <= first for first, end in zip([0, *ends], ends, strict=False)):
        raise UsageError(
            f"{recipe.epochs} epochs leave a stage of '{name}' without one",
            why=f"its stages end with epochs {', '.join(map(str, ends))}",
            fix="train for longer, or --set the stages' shares",
        )
    return recipe


def _folder() -> Path:
    return Path(str(package_files("agecompact.training") / "recipes"))


def _set(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
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


def _structure(table: dict[str, Any], name: str) -> Recipe:
    cattrs = import_extra("cattrs", "train")
    try:
        recipe: Recipe = _converter(cattrs).structure(table, Recipe)
    except Exception as error:
        # cattrs raises groups of whatever the constructors raise.
        raise UsageError(
            f"recipe '{name}' cannot be read",
            why="; ".join(cattrs.transform_error(error, format_exception=_reason)[:5]),
            fix="agecompact list --recipes names what there is; --set takes KEY=VALUE",
        ) from None
    return recipe


def _converter(cattrs: ModuleType) -> Any:
    """A converter that takes a value for what it is: 2.7 is no int, "no" no bool, "abc" no list."""
    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type, *accepted: type) -> None:
        def structure(value: Any, _: type) -> Any:
            if type(value) not in accepted or (kind is float and not math.isfinite(value)):
                raise TypeError(f"{value!r} is no {kind.__name__}")
            return kind(value)

        converter.register_structure_hook(kind, structure)

    exactly(bool, bool)
    exactly(int, int)
    exactly(float, int, float)
    exactly(str, str)

    def lists(kind: Any, own: Any) -> Callable[[Any, Any], Any]:
        structured: Callable[[Any, Any], Any] = cattrs.cols.homogenous_tuple_structure_factory(
            kind, own
        )

        def structure(value: Any, kind: Any) -> Any:
            if not isinstance(value, list):
                raise TypeError(f"{value!r} is no list")
            return structured(value, kind)

        return structure

    converter.register_structure_hook_factory(
        lambda kind: getattr(kind, "__origin__", None) is tuple and kind.__args__[-1] is Ellipsis,
        lists,
    )
    return converter


def _reason(error: BaseException, kind: type | None) -> str:
    """What cattrs says of a key, and what the constructors and hooks above say of a value."""
    cattrs = import_extra("cattrs", "train")
    if isinstance(error, KeyError | cattrs.ForbiddenExtraKeysError):
        return str(cattrs.v.format_exception(error, kind))
    return str(error)
