"""Imports public Keras weights into networks of this package.

One module reads the file format, and one per family describes its layouts as data, without torch
and h5py. This module combines them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract
from agecompact.errors import UsageError, unknown_name
from agecompact.imports import resolve

if TYPE_CHECKING:
    from torch import nn

    from agecompact.weights.importers.keras_hdf5 import KerasFile

# Function of each family that recognises a layout by its layers.
FAMILIES = {
    "ssrnet": "agecompact.weights.importers.ssrnet:recognise",
    "c3ae": "agecompact.weights.importers.c3ae:recognise",
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
class Layout:
    """How a public layout maps to one of our networks.

    Attributes:
        model_id: Registered id of the model.
        config: Configuration of the model's factory.
        contract: Preprocessing of the layout's authors, applied to our face chip.
        layers: The layer in the file, by module of the network.
        lambdas: Lambda layers whose function the network computes.
        repository: Where the layout is published.
        licence: SPDX id of the repository's licence.
        assumed: What the file does not state and the layout assumes.
    """

    model_id: str
    config: Mapping[str, Any]
    contract: Contract
    layers: Mapping[str, str]
    lambdas: frozenset[str]
    repository: str
    licence: str
    assumed: str


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


def from_keras(path: Path, family: str) -> Imported:
    """Imports a public Keras HDF5 file. Needs h5py.

    Args:
        path: The file, from `save_weights` or `save`.
        family: A key of `FAMILIES`.

    Raises:
        UsageError: There is no such family, the file cannot be read, or its layout is unknown.
    """
    if family not in FAMILIES:
        raise unknown_name("family of public weights", family, FAMILIES)
    from agecompact.models import registry
    from agecompact.weights.importers import keras_hdf5

    source = keras_hdf5.read(path)
    layout: Layout = resolve(FAMILIES[family])(source.layers)
    _check_layers(source, layout)
    network = registry.build(layout.model_id, layout.config).eval()
    keras_hdf5.fill(network, source, layout.layers)
    return Imported(
        network=network,
        layout=layout,
        card={
            "source": {"file": path.name, "sha256": source.sha256},
            "layout": {"repository": layout.repository, "licence": layout.licence},
            "assumed": layout.assumed,
            "metrics": "not re-measured",
        },
    )


def _check_layers(source: KerasFile, layout: Layout) -> None:
    from agecompact.weights.importers.keras_hdf5 import summary

    expected = set(layout.layers.values())
    if expected != set(source.layers):
        raise UsageError(
            f"{source.path} has no known layout of '{layout.model_id}'",
            why=f"the nearest layout expected {summary(expected)}; found {summary(source.layers)}",
            fix=f"check --model, or use a file of {layout.repository}",
        )
    unknown = [
        f"{kind} '{name}'"
        for name, kind in source.classes.items()
        if kind not in _PLAIN_CLASSES and name not in layout.lambdas
    ]
    if unknown:
        raise UsageError(
            f"the architecture in {source.path} differs from '{layout.model_id}'",
            why=f"it has {', '.join(unknown)}",
            fix=f"use a file of {layout.repository}",
        )
