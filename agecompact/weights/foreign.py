"""Gives the tensors of a PyTorch port, whose names are its own, the names of our network.

A place of the file is a part of it, and in the part all names with one prefix. Each place whose
layers fit is renamed, and `fitting` then chooses among them as among those with our names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agecompact.errors import UsageError
from agecompact.models import registry
from agecompact.weights.fitting import is_counter, without_wrappers
from agecompact.weights.importers import ports
from agecompact.weights.importers.departures import DepartureError
from agecompact.weights.statedicts import Part, StateDict

if TYPE_CHECKING:
    from torch import Tensor

# What torch's own layers call their tensors.
_VARIABLES = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Renamed:
    """A state dict with the names of our network in each place that fits.

    Attributes:
        state: The state dict. Its tensors are as stored, of the network's shapes.
        notes: How layers were paired, for people.
    """

    state: StateDict
    notes: tuple[str, ...]


def renamed(state: StateDict, model_id: str) -> Renamed:
    """Renames the tensors of a port.

    Args:
        state: The state dict.
        model_id: A model that `ports.is_known`.

    Raises:
        DepartureError: No place fits; the error is that of the nearest.
        UsageError: A place fits, but two of its layers could be swapped.
    """
    size = len(_layers(registry.outline(model_id).state_dict()))
    parts: list[Part] = []
    others = list(state.others)
    notes: list[tuple[str, ...]] = []
    errors: list[UsageError] = []
    for part in state.parts:
        tensors = {without_wrappers(n): t for n, t in part.tensors.items() if not is_counter(n)}
        for prefix in _prefixes(tensors, size):
            inside = {n: t for n, t in tensors.items() if n.startswith(prefix)}
            counts = [n for n, tensor in inside.items() if _only_counts(n, tensor)]
            held = {n.removeprefix(prefix): t for n, t in inside.items() if n not in counts}
            try:
                pairing = ports.pair(
                    model_id,
                    {name: tuple(tensor.shape) for name, tensor in held.items()},
                    ordered=state.ordered,
                    where=str(state.path),
                )
            except UsageError as error:
                errors.append(error)
                continue
            placed = ports.placed(pairing, held)
            tensors = {n: t for n, t in tensors.items() if n not in inside}
            tensors |= {f"{prefix}{own}": tensor for own, tensor in placed.items()}
            others += counts
            notes.append(pairing.notes)
        parts.append(replace(part, tensors=tensors))
    if not notes:
        raise min(errors, key=_badness)
    return Renamed(replace(state, parts=tuple(parts), others=tuple(others)), notes[0])


def _prefixes(tensors: Mapping[str, Tensor], size: int) -> list[str]:
    """Prefixes of as many layers as the network has, as long as possible; else that of all."""
    layers = _layers({n: t for n, t in tensors.items() if not _only_counts(n, t)})
    held = Counter(prefix for layer in layers for prefix in _beginnings(layer))
    longest: dict[frozenset[str], str] = {}
    for prefix in sorted((p for p, count in held.items() if count == size), key=len):
        longest[frozenset(layer for layer in layers if layer.startswith(prefix))] = prefix
    return list(longest.values()) or [""]


def _layers(tensors: Mapping[str, object]) -> list[str]:
    """Names of layers, each with a dot at its end, so that it also begins with its own prefix."""
    names = (name.rpartition(".") for name in tensors if not is_counter(name))
    return list(dict.fromkeys(f"{layer}{dot}" for layer, dot, _ in names))


def _beginnings(layer: str) -> Iterator[str]:
    yield ""
    for i, letter in enumerate(layer[:-1], 1):
        if letter == ".":
            yield layer[:i]


def _only_counts(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is 0, 1, 2, ...: places of bins, which our network makes itself."""
    import torch

    if tensor.ndim != 1 or len(tensor) < 2 or name.rpartition(".")[2] in _VARIABLES:
        return False
    return bool(tensor.float().equal(torch.arange(len(tensor), dtype=torch.float32)))


def _badness(error: UsageError) -> float:
    """How far a place is from a fit; one that fits and could be swapped is the nearest."""
    return -error.departure.matching if isinstance(error, DepartureError) else -float("inf")
