"""Every model by id: those that come with agecompact, of installed packages and project files.

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

from agecompact.contract import Contract
from agecompact.errors import AgecompactError, UsageError, failure_text, unknown_name
from agecompact.imports import resolve
from agecompact.models import project
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
    projects = project.active()
    origins = [f"package {_package(point)}" for point in named]
    if model_id in builtin:
        origins.insert(0, "agecompact")
    if model_id in projects:
        origins.append(str(projects[model_id].path))
    if not origins:
        raise _unknown(model_id, {*builtin, *points.names, *projects})
    if len(origins) > 1:
        raise UsageError(
            f"several models are named '{model_id}'",
            why=f"they come from {', '.join(origins)}",
            fix="uninstall a package, or rename the model",
        )
    if model_id in projects:
        return projects[model_id].spec
    return _load(named[0]) if named else builtin[model_id]


def _unknown(model_id: str, known: set[str]) -> UsageError:
    error = unknown_name("model", model_id, known)
    return UsageError(
        error.what,
        why=f"{error.why}; and those of project files that {project.VARIABLE} names",
        fix=error.fix,
    )


def models() -> tuple[ModelSpec, ...]:
    """Returns every model but the built-in teachers: the built-in ones first, then by id.

    Raises:
        UsageError: Two models have one id, or an entry point is broken.
    """
    outside = sorted(point.name for point in entry_points(group=GROUP))
    return tuple(get(model_id) for model_id in (*MODELS, *outside))


def contract_of(model_id: str, config: Mapping[str, Any] | None = None) -> Contract:
    """The contract of a network that `build` builds of the same arguments.

    Raises:
        UsageError: There is no such model.
    """
    spec = get(model_id)
    return spec.contract_of(config or spec.config)


def build(model_id: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        model_id: A registered id.
        config: Keyword arguments of the model's factory, for other layouts than the default.

    Raises:
        UnfitConfigError: Its factory does not take that configuration.
        UsageError: There is no such model, or its factory cannot be imported.
    """
    spec = get(model_id)
    if not spec.factory:
        raise UsageError(
            f"the network of '{model_id}' is an ONNX file, not Python",
            fix="export it, and use what is exported",
        )
    return build_from(spec.factory, config or spec.config, model_id)


def build_from(reference: str, arguments: Mapping[str, Any], model_id: str) -> nn.Module:
    """Builds a network by its factory.

    Args:
        reference: The factory, `module:callable`, or `/path/of/nets.py:callable`.
        arguments: Its keyword arguments.
        model_id: Name of the network, for error messages.

    Raises:
        UnfitConfigError: The factory does not take these arguments.
        UsageError: It cannot be imported, or does not return a network.
    """
    from torch import nn

    try:
        factory = resolve(reference)
    except Exception as error:  # The module may raise anything while it is imported.
        raise UsageError(
            f"cannot import the factory of model '{model_id}'",
            why=f"{reference}: {failure_text(error)}",
            fix="correct it, or install what it imports",
        ) from None
    try:
        network = factory(**arguments)
    except Exception as error:  # A factory may raise anything.
        raise UnfitConfigError(
            f"cannot build model '{model_id}'",
            why=failure_text(error),
            fix=f"use keyword arguments of {reference}" if arguments else f"correct {reference}",
        ) from None
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"the factory of model '{model_id}' did not return a torch.nn.Module",
            why=f"{reference} returned {type(network).__name__}",
            fix="correct the factory",
        )
    return network


def outline(model_id: str, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Builds a network whose tensors have names, shapes and dtypes, and as a rule no memory.

    The state of the random numbers does not change.

    Args:
        model_id: As in `build`.
        config: As in `build`.

    Raises:
        UsageError: As `build` raises it.
    """
    import torch

    with torch.random.fork_rng(devices=()):
        try:
            with torch.device("meta"):
                return build(model_id, config)
        except Exception:  # A factory that computes with tensors needs their values.
            return build(model_id, config)


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
