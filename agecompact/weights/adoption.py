"""Takes weights as they are found: a weights file of agecompact, or a state dict of a model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agecompact.errors import UsageError
from agecompact.formats import FORMATS
from agecompact.models import project, registry
from agecompact.scratch import scratch_folder
from agecompact.weights import checkpoints
from agecompact.weights.fitting import MisfitError, fit, match
from agecompact.weights.statedicts import StateDict, read_state_dict

_SUFFIX = FORMATS["pytorch"].suffix


@dataclass(frozen=True)
class Adopted:
    """A weights file of agecompact.

    Attributes:
        path: The file.
        notes: How it was made from a state dict, for people; empty if it is the given file.
    """

    path: Path
    notes: tuple[str, ...] = ()


@contextmanager
def weights_file(path: Path, model_id: str | None, *, naming: str) -> Iterator[Adopted]:
    """Yields a weights file: the given one, or one made of the given state dict for the block.

    Args:
        path: A weights file of agecompact, or a state dict.
        model_id: The model that the user named; a state dict needs one.
        naming: How to name the model of a state dict, such as
            `agecompact export {model} --weights {path}`.

    Raises:
        UsageError: The file cannot be read or does not fit, or its model is not or wrongly named.
    """
    if path.is_file() and checkpoints.names_its_model(path):
        found = checkpoints.read(path).model_id
        if model_id not in (None, found):
            raise UsageError(
                f"{path} holds weights of '{found}', not of '{model_id}'",
                fix=naming.format(model=found, path=path),
            )
        with _with_suffix(path) as named:
            yield Adopted(named)
        return
    state = read_state_dict(path)
    if model_id is None:
        fitting = fitting_models(state)
        raise UsageError(
            f"{path} does not name its model",
            why="it is a state dict" + (f" that fits {', '.join(fitting)}" if fitting else ""),
            fix=naming.format(model=fitting[0] if len(fitting) == 1 else "MODEL", path=path),
        )
    with scratch_folder() as scratch:
        target = scratch / f"{model_id}{_SUFFIX}"
        yield Adopted(target, adopt(state, model_id, target))


@contextmanager
def _with_suffix(path: Path) -> Iterator[Path]:
    """Yields a weights file under a name with its suffix: runtimes choose a format by that."""
    if path.suffix == _SUFFIX:
        yield path
        return
    with scratch_folder() as scratch:
        copy = scratch / f"{path.stem}{_SUFFIX}"
        shutil.copyfile(path, copy)
        card = checkpoints.card_path(path)
        if card.is_file():
            shutil.copyfile(card, checkpoints.card_path(copy))
        yield copy


def adopt(state: StateDict, model_id: str, target: Path) -> tuple[str, ...]:
    """Writes a state dict as a weights file of a model, with a card that names its origin.

    Args:
        state: The state dict.
        model_id: Registered id of the model.
        target: The file to write, `*.safetensors`.

    Returns:
        What was unwrapped, renamed, converted and left out.

    Raises:
        MisfitError: The state dict is not the model's.
        UsageError: There is no such model, or the state dict is not usable.
        OutputError: The file cannot be written.
    """
    network = registry.build(model_id)
    try:
        found = fit(state, network, name=f"'{model_id}'")
    except MisfitError as error:
        fitting = fitting_models(state)
        fix = (
            f"name the model that it fits: {' or '.join(fitting)}"
            if fitting
            else "name weights of this model, or add the network that they are of as a model: "
            "docs/architecture.md, 'Add a model'"
        )
        raise MisfitError(error.what, why=error.why, fix=fix) from None
    network.load_state_dict(dict(found.tensors), strict=False)
    spec, owner = registry.get(model_id), project.active().get(model_id)
    checkpoints.write(
        target,
        network,
        model_id=model_id,
        config=spec.config,
        card={
            **({"data": {"terms": owner.terms}} if owner else {}),
            "source": {"file": state.path.name, "sha256": state.sha256},
            "adopted": list(found.notes),
            "metrics": "not re-measured",
        },
    )
    return found.notes


def fitting_models(state: StateDict) -> tuple[str, ...]:
    """The registered models that a state dict fits."""
    return tuple(spec.id for spec in registry.models() if _fits(state, spec.id))


def _fits(state: StateDict, model_id: str) -> bool:
    try:
        match(state, registry.outline(model_id))
    # A model of another package may fail in any way; the message about this file does not need it.
    except Exception:
        return False
    return True
