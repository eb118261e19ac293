"""Takes weights as they are found: a weights file of agecompact, or a state dict of a model."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agecompact.errors import UsageError
from agecompact.formats import FORMATS
from agecompact.models import project, registry
from agecompact.scratch import scratch_folder
from agecompact.weights import checkpoints
from agecompact.weights.fitting import MisfitError, fit, match
from agecompact.weights.foreign import renamed
from agecompact.weights.importers import ports
from agecompact.weights.importers.departures import DepartureError
from agecompact.weights.importers.ports import Port
from agecompact.weights.statedicts import StateDict, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor, nn

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


def adopt(
    state: StateDict, model_id: str, target: Path, *, port: Port | None = None
) -> tuple[str, ...]:
    """Writes a state dict as a weights file of a model, with a card that names its origin.

    Args:
        state: The state dict.
        model_id: Registered id of the model.
        target: The file to write, `*.safetensors`.
        port: What the user said about the code of a port; nothing if not given.

    Returns:
        What was unwrapped, renamed, converted, assumed and left out.

    Raises:
        MisfitError: The state dict is not the model's.
        UsageError: There is no such model, the state dict is not usable, or it is not that of a
            port, about which the user said something.
        OutputError: The file cannot be written.
    """
    network = registry.build(model_id)
    try:
        found = fit(state, network, name=f"'{model_id}'")
    except MisfitError as error:
        tensors, notes = _of_port(state, model_id, network, port or Port(), error)
    else:
        if port is not None and port.stated:
            raise UsageError(
                f"{state.path} has the names of our own '{model_id}'",
                why="its order of flattened maps and its epsilon of batch norms are known",
                fix="leave out --flatten and --bn-epsilon",
            )
        tensors, notes = found.tensors, found.notes
    network.load_state_dict(dict(tensors), strict=False)
    spec, owner = registry.get(model_id), project.active().get(model_id)
    checkpoints.write(
        target,
        network,
        model_id=model_id,
        config=spec.config,
        card={
            **({"data": {"terms": owner.terms}} if owner else {}),
            "source": {"file": state.path.name, "sha256": state.sha256},
            "adopted": list(notes),
            "metrics": "not re-measured",
        },
    )
    return notes


def fitting_models(state: StateDict) -> tuple[str, ...]:
    """The registered models that a state dict fits, by our names or as a port."""
    return tuple(spec.id for spec in registry.models() if _fits(state, spec.id))


def _fits(state: StateDict, model_id: str) -> bool:
    try:
        match(state, registry.outline(model_id))
    except MisfitError:
        return ports.is_known(model_id) and _is_port(state, model_id)
    # A model of another package may fail in any way; the message about this file does not need it.
    except Exception:
        return False
    return True


def _is_port(state: StateDict, model_id: str) -> bool:
    try:
        renamed(state, model_id)
    except UsageError:
        return False
    return True


def _of_port(
    state: StateDict, model_id: str, network: nn.Module, port: Port, misfit: MisfitError
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """Tensors of a port for our network, and how they were made.

    Raises:
        MisfitError: It is not a port either.
        UsageError: It is one, but not usable.
    """
    import torch

    if not ports.is_known(model_id):
        raise _refusal(state, misfit, None) from None
    try:
        port_state = renamed(state, model_id)
    except UsageError as error:
        raise _refusal(state, misfit, error) from None
    found = fit(port_state.state, network, name=f"'{model_id}'")
    arrays = ports.converted(model_id, found.tensors, port)
    notes = (*port_state.notes, *found.notes, *_untold(state, model_id, port))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, notes


def _untold(state: StateDict, model_id: str, port: Port) -> Iterator[str]:
    """What a state dict does not show, and how to state it."""
    yield port.text
    options = {
        "--flatten": (port.flatten, "hwc"),
        "--bn-epsilon": (port.epsilon, "1e-3"),
    }
    if any(stated is None for stated, _ in options.values()):
        said = " ".join(
            f"{name} {other if x is None else x}" for name, (x, other) in options.items()
        )
        yield (
            "the file does not show what was assumed; if its code does otherwise, answers are "
            f"wrong. State it: agecompact weights import {shlex.quote(str(state.path))} "
            f"--model {model_id} {said} --out NEW{_SUFFIX}"
        )
    contract = registry.get(model_id).contract
    low, high = contract.value_range
    yield f"images assumed {contract.color_order}, {low:g} to {high:g}, as for '{model_id}'"


def _refusal(state: StateDict, misfit: MisfitError, as_port: UsageError | None) -> MisfitError:
    """The error for a state dict that does not fit, by our names or as a port."""
    why = misfit.why
    if fitting := fitting_models(state):
        fix = f"name the model that it fits: {' or '.join(fitting)}"
    elif as_port is None or _is_far(as_port):
        fix = (
            "name weights of this model, or add the network that they are of as a model: "
            "docs/architecture.md, 'Add a model'"
        )
    else:
        departure = as_port.departure if isinstance(as_port, DepartureError) else None
        place = departure.text if departure else as_port.summary
        why = f"{misfit.why}\nas a port with names of its own: {place}"
        if state.ordered or departure:
            fix = (
                "export it as a network of your own: agecompact init NET.toml "
                f"--factory CODE.py:NETWORK --weights {shlex.quote(str(state.path))}"
            )
        else:
            fix = (
                "save it in the port's code, which keeps the order of the layers: "
                f"torch.save(network.state_dict(), {str(state.path.with_suffix('.pth'))!r})"
            )
    return MisfitError(misfit.what, why=why, fix=fix)


def _is_far(error: UsageError) -> bool:
    """Whether a file has so little of a network that where they part says nothing."""
    if not isinstance(error, DepartureError):
        return False
    return 2 * error.departure.matching < error.departure.layers
