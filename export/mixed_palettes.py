"""Chooses how many bits the palette of each layer has, by what each choice costs on faces.

The cost of a palette is the mean square of the change of the answers when only that layer has it.
A price of errors in bytes then decides for every layer on its own. The lowest price is searched at
which the network with all palettes at once, measured as well, stays within the limit. The result is
the smallest file for its error, as far as the errors of layers add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from export.coreml_weights import stored_bytes
from export.palette import Array, approximated

# Of an index; None leaves a layer in float16.
_WIDTHS = (4, 6, 8)
# How far answers may move, root mean square, as a share of their standard deviation over faces.
LIMIT = 0.01
# More measure the same within a tenth, and take longer.
_FACES = 64
# Prices that are tried, as powers of 2 around one by which the limit is worth all bytes.
_POWERS = (-20.0, 20.0)
_TRIES = 12


@dataclass(frozen=True)
class _Option:
    """One way to store a weight.

    Attributes:
        width: Bits of an index; None for no palette.
        size: Bytes.
        value: The weight as it is read back.
    """

    width: int | None
    size: int
    value: Array


def chosen_widths(
    weights: Mapping[str, Array], network: nn.Module, faces: Mapping[str, npt.NDArray[Any]]
) -> dict[str, int]:
    """Bits of the palette of each weight; weights that keep their numbers are left out.

    Args:
        weights: Constants of the program, by name.
        network: The network that it was converted from; its parameters are restored.
        faces: Inputs by name, in the network's order, float32 NCHW.
    """
    parameters = {
        name: found
        for name, weight in weights.items()
        if (found := _parameter(network, weight)) is not None
    }
    options = {name: _options(weights[name]) for name in parameters}
    trial = _Trial(network, faces, parameters)
    costs = {
        name: [trial.cost({name: option}) if option.width else 0.0 for option in each]
        for name, each in options.items()
    }
    scale = sum(weights[name].nbytes for name in parameters) / LIMIT**2

    def at(power: float) -> dict[str, _Option]:
        price = scale * 2.0**power
        chosen = {}
        for name, each in options.items():
            paid = [o.size + price * cost for o, cost in zip(each, costs[name], strict=True)]
            chosen[name] = each[int(np.argmin(paid))]
        return chosen

    low, high = _POWERS
    for _ in range(_TRIES):
        middle = (low + high) / 2
        within = trial.cost(at(middle)) <= LIMIT**2
        low, high = (low, middle) if within else (middle, high)
    return {name: option.width for name, option in at(high).items() if option.width}


class _Trial:
    """The answers of a network for faces, with other weights."""

    def __init__(
        self,
        network: nn.Module,
        faces: Mapping[str, npt.NDArray[Any]],
        parameters: Mapping[str, nn.Parameter],
    ) -> None:
        self._network = network
        self._parameters = parameters
        self._inputs = [torch.from_numpy(_some(each)) for each in faces.values()]
        self._answers = self._run()

    def cost(self, options: Mapping[str, _Option]) -> float:
        """Mean square of the change, as a share of the variance; of the output with the most."""
        kept = {name: self._parameters[name].detach().clone() for name in options}
        with torch.no_grad():
            for name, option in options.items():
                value = torch.from_numpy(option.value.astype(np.float32))
                self._parameters[name].copy_(value.reshape(kept[name].shape))
            moved = self._run()
            for name, value in kept.items():
                self._parameters[name].copy_(value)
        return max(
            float((now - before).square().mean() / before.var(dim=0).mean().clamp_min(1e-12))
            for before, now in zip(self._answers, moved, strict=True)
        )

    def _run(self) -> list[Tensor]:
        with torch.no_grad():
            found = self._network(*self._inputs)
        return [each.double() for each in (found if isinstance(found, tuple) else (found,))]


def _some(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    places = np.linspace(0, len(batch) - 1, min(_FACES, len(batch))).astype(int)
    return np.ascontiguousarray(batch[places])


def _options(weight: Array) -> list[_Option]:
    smaller = [width for width in _WIDTHS if stored_bytes(weight, width) < weight.nbytes]
    palettes = [_Option(w, stored_bytes(weight, w), approximated(weight, w)) for w in smaller]
    return [*palettes, _Option(None, weight.nbytes, weight)]


def _parameter(network: nn.Module, weight: Array) -> nn.Parameter | None:
    """The parameter that a constant was made of; None if the converter changed it."""
    for parameter in network.parameters():
        if parameter.numel() == weight.size:
            value = parameter.detach().numpy().reshape(weight.shape)
            if np.array_equal(value.astype(weight.dtype), weight):
                return parameter
    return None
