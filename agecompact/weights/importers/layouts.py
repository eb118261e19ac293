"""Public layouts of weights, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agecompact.contract import Contract
from agecompact.weights.importers import wiring
from agecompact.weights.importers.topology import Habits, Known, signature

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Layout:
    """How a public layout maps to one of our networks.

    Attributes:
        model_id: Registered id of the model.
        title: Name of the layout for people.
        config: Configuration of the model's factory.
        contract: Preprocessing of the layout's authors, applied to our face chip.
        habits: How its files are written.
        mark: Stem of the layers' names that tell this layout from one of the same layers; empty if
            there is no such other.
        readouts: Names of Lambda layers whose function the network computes from its last layers.
        repository: Where the layout is published.
        licence: SPDX id of the repository's licence.
        assumed: What the file does not state and the layout assumes.
    """

    model_id: str
    title: str
    config: Mapping[str, Any]
    contract: Contract
    habits: Habits
    mark: str
    readouts: frozenset[str]
    repository: str
    licence: str
    assumed: str


def known(network: nn.Module, title: str, habits: Habits, *, wired: bool) -> Known:
    """What a file of a network contains, read off the network.

    Args:
        network: The network.
        title: Its name for people.
        habits: How its files are written.
        wired: Whether such files may store an architecture. The network is then traced.
    """
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in network.state_dict().items():
        module, _, variable = name.rpartition(".")
        if variable != "num_batches_tracked":
            shapes.setdefault(module, {})[variable] = tuple(tensor.shape)
    return Known(
        title=title,
        modules={module: signature(held) for module, held in shapes.items()},
        habits=habits,
        wiring=wiring.of_network(network) if wired else wiring.Wiring(),
    )
