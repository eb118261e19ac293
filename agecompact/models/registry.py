"""Every model by id: those that come with agecompact, and those of other installed packages.

A package adds a model by an entry point of the group `agecompact.models` whose name is the model's
id and whose object is a `ModelSpec`:

    [project.entry-points."agecompact.models"]
    tinyface = "tinyface.spec:SPEC"

Entry points are looked up on `sys.path` at each call, so that worker processes find the same models
as the command line. The module that holds the spec should import no torch: `agecompact list` loads
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from agecompact.errors import AgecompactError, UsageError, unknown_name
from agecompact.imports import resolve
from agecompact.models.builtin import MODELS as MODELS
from agecompact.models.builtin import TEACHERS as TEACHERS
from agecompact.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

GROUP = "agecompact.models"


@dataclass(frozen=True)
class _Candidate:
    """A model that has not been loaded yet.

    Attributes:
        id: The model's id.
        origin: Where it comes from, for error messages.
        load: Returns its spec.
    """

    id: str
    origin: str
    load: Callable[[], ModelSpec]


def get(model_id: str) -> ModelSpec:
    """Returns the spec of a model.

    Raises:
        UsageError: No model or several models have this id, or its entry point is broken.
    """
    candidates = [*_builtin(), *_from_entry_points()]
    if model_id not in {candidate.id for candidate in candidates}:
        raise unknown_name("model", model_id, {candidate.id for candidate in candidates})
    return _only(model_id, candidates).load()


def models() -> tuple[ModelSpec, ...]:
    """Returns every model but the built-in teachers: the built-in ones first, then by id.

    Raises:
        UsageError: Two models have one id, or an entry point is broken.
    """
    outside = sorted(_from_entry_points(), key=lambda candidate: candidate.id)
    candidates = [*_builtin(), *outside]
    specs = [_only(candidate.id, candidates).load() for candidate in candidates]
    return tuple(spec for spec in specs if spec.id not in TEACHERS)


def build(model_id: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        model_id: A registered id.
        config: Keyword arguments of the model's factory, for other layouts than the default.

    Raises:
        UsageError: There is no such model, its factory cannot be imported or does not take that
            configuration.
    """
    from torch import nn

    spec = get(model_id)
    try:
        factory = resolve(spec.factory)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"cannot import the factory of model '{model_id}'",
            why=f"{spec.factory}: {error}",
            fix="correct the factory of its ModelSpec, or install what it imports",
        ) from None
    try:
        network = factory(**(config or {}))
    except TypeError as error:
        if not config:
            raise
        raise UsageError(
            f"invalid configuration for model '{model_id}'",
            why=str(error),
            fix=f"use keyword arguments of {spec.factory}",
        ) from None
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"the factory of model '{model_id}' did not return a torch.nn.Module",
            why=f"{spec.factory} returned {type(network).__name__}",
            fix="correct the factory of its ModelSpec",
        )
    return network


def _only(model_id: str, candidates: list[_Candidate]) -> _Candidate:
    """Returns the one candidate with an id.

    Raises:
        UsageError: Several have it.
    """
    chosen, *others = [candidate for candidate in candidates if candidate.id == model_id]
    if others:
        raise UsageError(
            f"several models are named '{model_id}'",
            why=f"they come from {', '.join(each.origin for each in (chosen, *others))}",
            fix="uninstall a package, or rename the model's entry point and id",
        )
    return chosen


def _builtin() -> Iterator[_Candidate]:
    for spec in (*MODELS.values(), *TEACHERS.values()):
        yield _loaded(spec, "agecompact")


def _loaded(spec: ModelSpec, origin: str) -> _Candidate:
    return _Candidate(spec.id, origin, lambda: spec)


def _from_entry_points() -> Iterator[_Candidate]:
    for point in entry_points(group=GROUP):
        yield _Candidate(point.name, f"package {_package(point)}", partial(_load, point))


def _load(point: EntryPoint) -> ModelSpec:
    """Imports the spec that an entry point names.

    Raises:
        UsageError: The import fails, or the object is not the spec of that model.
    """
    what = f"cannot load model '{point.name}' of package {_package(point)}"
    fix = f"repair or uninstall the package: pip uninstall {_package(point)}"
    try:
        spec = point.load()
    except Exception as error:  # The module may raise anything while it is imported.
        reason = error.summary if isinstance(error, AgecompactError) else repr(error)
        raise UsageError(what, why=f"{point.value}: {reason}", fix=fix) from None
    if not isinstance(spec, ModelSpec):
        why = f"{point.value} is a {type(spec).__name__}, not a ModelSpec"
        raise UsageError(what, why=why, fix=fix)
    if spec.id != point.name:
        why = f"{point.value} is the spec of '{spec.id}'; entry point and spec need the same name"
        raise UsageError(what, why=why, fix=fix)
    return spec


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"
