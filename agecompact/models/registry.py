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

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from agecompact.errors import AgecompactError, UsageError, first_line, unknown_name
from agecompact.imports import resolve
from agecompact.models.builtin import MODELS as MODELS
from agecompact.models.builtin import TEACHERS as TEACHERS
from agecompact.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

GROUP = "agecompact.models"


class UnfitConfigError(UsageError):
    """A model's factory does not take a configuration."""


def get(model_id: str) -> ModelSpec:
    """Returns the spec of a model.

    Raises:
        UsageError: No model or several models have this id, or its entry point is broken.
    """
    builtin = {**MODELS, **TEACHERS}
    points = entry_points(group=GROUP)
    named = [point for point in points if point.name == model_id]
    origins = [f"package {_package(point)}" for point in named]
    if model_id in builtin:
        origins.insert(0, "agecompact")
    if not origins:
        raise unknown_name("model", model_id, {*builtin, *points.names})
    if len(origins) > 1:
        raise UsageError(
            f"several models are named '{model_id}'",
            why=f"they come from {', '.join(origins)}",
            fix="uninstall a package, or rename the model's entry point and id",
        )
    return _load(named[0]) if named else builtin[model_id]


def models() -> tuple[ModelSpec, ...]:
    """Returns every model but the built-in teachers: the built-in ones first, then by id.

    Raises:
        UsageError: Two models have one id, or an entry point is broken.
    """
    outside = sorted(point.name for point in entry_points(group=GROUP))
    return tuple(get(model_id) for model_id in (*MODELS, *outside))


def build(model_id: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        model_id: A registered id.
        config: Keyword arguments of the model's factory, for other layouts than the default.

    Raises:
        UnfitConfigError: Its factory does not take that configuration.
        UsageError: There is no such model, or its factory cannot be imported.
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
    except Exception as error:  # A factory may raise anything for a configuration.
        if not config:
            raise
        raise UnfitConfigError(
            f"invalid configuration for model '{model_id}'",
            why=first_line(error),
            fix=f"use keyword arguments of {spec.factory}",
        ) from None
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"the factory of model '{model_id}' did not return a torch.nn.Module",
            why=f"{spec.factory} returned {type(network).__name__}",
            fix="correct the factory of its ModelSpec",
        )
    return network


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
