"""Imports public weights into networks of this package.

Modules read a file's layers, one per family describes its layouts as data, `topology` pairs the
layers with a network's modules, and `wiring` says how both are connected. This module combines
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.errors import UsageError, unknown_name
from agecompact.imports import resolve
from agecompact.weights.importers.departures import nearest
from agecompact.weights.importers.layouts import Layout, known
from agecompact.weights.importers.topology import (
    Found,
    Known,
    Match,
    fits,
    match_layers,
    stem,
)

if TYPE_CHECKING:
    from torch import nn

    from agecompact.weights.importers.keras_hdf5 import KerasFile

# Functions that return the layouts of a family; the first is what a file is whose names do not
# tell.
FAMILIES = {
    "ssrnet": "agecompact.weights.importers.ssrnet:layouts",
    "ssrnet-gender": "agecompact.weights.importers.ssrnet:gender_layouts",
    "c3ae": "agecompact.weights.importers.c3ae:layouts",
}

# Classes of layers that a layout may contain. A Lambda or a custom class could compute anything.
_PLAIN_CLASSES = frozenset(
    {
        *("InputLayer", "Model", "Functional"),
        *("Conv2D", "Dense", "BatchNormalization", "Activation", "ReLU", "Dropout"),
        *("Flatten", "Reshape", "Multiply", "Concatenate"),
        *("AveragePooling2D", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    }
)


@dataclass(frozen=True)
class Imported:
    """A network with imported weights, and the content of its weights file.

    Attributes:
        network: The network, in evaluation mode.
        layout: The recognised layout.
        card: Origin of the weights, and what has not been checked.
    """

    network: nn.Module
    layout: Layout
    card: Mapping[str, Any]


@dataclass(frozen=True)
class _Candidate:
    """A layout, its network, and the shapes of a file of it."""

    layout: Layout
    network: nn.Module
    known: Known


def from_keras(path: Path, family: str) -> Imported:
    """Imports a public Keras HDF5 file. Needs h5py.

    Args:
        path: The file, from `save_weights` or `save`.
        family: A key of `FAMILIES`.

    Raises:
        UsageError: There is no such family, the file cannot be read, fits no known network, has
            another wiring, or has layers that could be swapped.
    """
    if family not in FAMILIES:
        raise unknown_name("family of public weights", family, FAMILIES)
    from agecompact.weights.importers import keras_hdf5

    source = keras_hdf5.read(path)
    layout, network = _recognised(source.found, family)
    target = known(network, layout.title, layout.habits, wired=True)
    matched = match_layers(source.found, target)
    _check_classes(source, layout, target, matched)
    fill(network, matched)
    return Imported(
        network=network,
        layout=layout,
        card={
            "source": {"file": path.name, "sha256": source.sha256},
            "layout": {"repository": layout.repository, "licence": layout.licence},
            "assumed": "; ".join(filter(None, (_untold(source.found, layout), layout.assumed))),
            "metrics": "not re-measured",
        },
    )


def fill(network: nn.Module, matched: Match) -> None:
    """Copies matched layers into a network: all its parameters and BN statistics."""
    import torch

    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    state = {
        f"{module}.{name}": torch.from_numpy(array.copy()).reshape(shapes[f"{module}.{name}"])
        for module, layer in matched.pairs.items()
        for name, array in layer.arrays.items()
    }
    network.load_state_dict(state, strict=False)


def _recognised(found: Found, family: str) -> tuple[Layout, nn.Module]:
    """The family's layout that a file fits, and its network.

    Raises:
        UsageError: The file fits none.
    """
    fitting = [candidate for candidate in _candidates(family) if fits(found, candidate.known)]
    if not fitting:
        raise _misfit(found)
    stems = {stem(layer.name) for layer in found.layers}
    marked = [candidate for candidate in fitting if candidate.layout.mark in stems]
    chosen = (marked or fitting)[0]
    return chosen.layout, chosen.network


def _misfit(found: Found) -> UsageError:
    """The error for a file of another family, or of none: it names the nearest layout of all."""
    candidates = {family: _candidates(family) for family in FAMILIES}
    for family, members in candidates.items():
        for candidate in members:
            if fits(found, candidate.known):
                return UsageError(
                    f"{found.where} has another network",
                    why=f"it has the layers of {candidate.layout.title}",
                    fix=f"use --model {family}",
                )
    return nearest(found, [c.known for members in candidates.values() for c in members])


def _candidates(family: str) -> list[_Candidate]:
    from agecompact.models import registry

    candidates = []
    for layout in resolve(FAMILIES[family])():
        network = registry.build(layout.model_id, layout.config).eval()
        shapes = known(network, layout.title, layout.habits, wired=False)
        candidates.append(_Candidate(layout, network, shapes))
    return candidates


def _untold(found: Found, layout: Layout) -> str:
    """What the names should tell and do not; empty if they do."""
    if not layout.mark or layout.mark in {stem(layer.name) for layer in found.layers}:
        return ""
    return f"that it is {layout.title}, because its names do not tell age from gender"


def _check_classes(source: KerasFile, layout: Layout, target: Known, matched: Match) -> None:
    unknown = [
        f"{kind} '{name}'"
        for name, kind in source.classes.items()
        if kind not in _PLAIN_CLASSES and not _is_readout(name, layout, target, matched)
    ]
    if unknown:
        raise UsageError(
            f"the architecture in {source.path} differs from {layout.title}",
            why=f"it has {', '.join(unknown)}",
            fix=f"use a file of {layout.repository}",
        )


def _is_readout(name: str, layout: Layout, target: Known, matched: Match) -> bool:
    """Whether a layer is where the network computes its output, or has that layer's name."""
    if not matched.ends:
        return name in layout.readouts
    (read,) = target.wiring.ends.values()
    return bool(layout.readouts) and matched.ends.get(name) == frozenset(read)
