"""Public Keras weights as networks of this package.

One file for the file format, one a family of layouts. Families are data, with no torch and no h5py
in them; this module puts the pieces together.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract
from agecompact.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from agecompact.weights.importers.keras_hdf5 import KerasFile

FAMILIES = {
    "ssrnet": "agecompact.weights.importers.ssrnet",
    "c3ae": "agecompact.weights.importers.c3ae",
}

# What the layouts' weightless layers may be. A Lambda or a custom class may compute anything.
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
    """How one public layout maps onto one of our networks.

    Attributes:
        model_id: Registered id of the network.
        config: Configuration of its factory.
        contract: How the layout's authors prepared images, on our face chip.
        layers: The file's layer for each of the network's modules, by name.
        lambdas: Lambda layers whose function the network is known to compute.
        repository: Where the layout was published.
        licence: SPDX id of that repository.
        assumed: What the file does not say and the layout takes for granted.
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
    """A network with imported weights, in evaluation mode, and what belongs in its weights file.

    Attributes:
        network: The network.
        layout: What the file was recognised as.
        parameters: Numbers in the file's layers, BN statistics included, as Keras counts.
        card: Where the weights come from, and what nobody has checked.
    """

    network: nn.Module
    layout: Layout
    parameters: int
    card: Mapping[str, Any]


def from_keras(path: Path, family: str) -> Imported:
    """Imports a public Keras HDF5 file; needs h5py.

    Args:
        path: The file, from `save_weights` or `save`.
        family: A key of `FAMILIES`.

    Raises:
        UsageError: No such family, an unreadable file, or a layout that the family does not know.
    """
    if family not in FAMILIES:
        raise unknown_name("family of public weights", family, FAMILIES)
    from agecompact.models import registry
    from agecompact.weights.importers import keras_hdf5

    source = keras_hdf5.read(path)
    layout: Layout = importlib.import_module(FAMILIES[family]).recognise(source.layers)
    _check_layers(source, layout)
    network = registry.build(layout.model_id, layout.config).eval()
    keras_hdf5.fill(network, source, layout.layers)
    return Imported(
        network=network,
        layout=layout,
        parameters=sum(a.size for layer in source.layers.values() for a in layer.values()),
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
            f"{source.path} is in no known layout of '{layout.model_id}'",
            why=f"nearest layout expected {summary(expected)}; found {summary(source.layers)}",
            fix=f"check --model; known are the files of {layout.repository}",
        )
    odd = [
        f"{kind} '{name}'"
        for name, kind in source.classes.items()
        if kind not in _PLAIN_CLASSES and name not in layout.lambdas
    ]
    if odd:
        raise UsageError(
            f"{source.path} computes what '{layout.model_id}' does not",
            why=f"its architecture has {', '.join(odd)}",
        )
