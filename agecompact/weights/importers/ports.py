"""Converts state dicts of other PyTorch code for a known network to the network's own.

A state dict has no wiring. If it is in the order in which its code registered the modules, as a
`.pth` file is, `topology` pairs it by order and numbers. Safetensors files are sorted by name, so
only numbers can pair them.

Two things differ between ports without a trace in the state dict, so the caller states them: the
order in which maps are flattened, and the epsilon of batch norms. The defaults are torch's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agecompact.models import registry
from agecompact.weights.importers import c3ae, ssrnet
from agecompact.weights.importers.layouts import known
from agecompact.weights.importers.topology import (
    Array,
    Found,
    Habits,
    Layer,
    fits,
    match_layers,
    nearest,
)

_HABITS: Mapping[str, Habits] = {
    "ssrnet": ssrnet.HABITS,
    "ssrnet-gender": ssrnet.HABITS,
    "c3ae": c3ae.HABITS,
    "c3ae-plain": c3ae.HABITS,
}


@dataclass(frozen=True)
class Port:
    """What the code of a port does that its state dict does not show.

    Attributes:
        flatten: Order of the flattened maps: `chw` as torch's `flatten` and `view` leave them, or
            `hwc` as Keras and our networks do.
        epsilon: Epsilon of the batch norms.
    """

    flatten: Literal["chw", "hwc"] = "chw"
    epsilon: float = 1e-5


def match(
    model_id: str,
    arrays: Mapping[str, Array],
    *,
    config: Mapping[str, Any] | None = None,
    port: Port | None = None,
    where: str = "the state dict",
) -> dict[str, Array]:
    """The state of one of our networks, from that of a port with names of its own.

    Args:
        model_id: Registered id of the network.
        arrays: float32 arrays by name, in the order of registration if it is known. Arrays that are
            sorted by name count as without order.
        config: Configuration of the network's factory, if not the default.
        port: What the port's code does; torch's defaults if not given.
        where: The file, for messages.

    Returns:
        Arrays by the network's names, for `load_state_dict(strict=False)`: batch counters are left
        out.

    Raises:
        UsageError: There is no such model, the arrays do not fit it, or two layers of equal shapes
            could be swapped.
    """
    port = port or Port()
    network = registry.build(model_id, config)
    habits = _HABITS.get(model_id, Habits())
    target = known(network, f"'{model_id}'", habits, wired=False)
    # Registration puts a layer's weight before its bias, so a sorted state dict was sorted later.
    found = Found(where, _layers(arrays), ordered=list(arrays) != sorted(arrays))
    if not fits(found, target):
        raise nearest(found, [target])
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    modules = dict(network.named_modules())
    return {
        f"{name}.{variable}": _converted(
            variable, array, port, habits, getattr(modules[name], "eps", 0.0)
        ).reshape(shapes[f"{name}.{variable}"])
        for name, layer in match_layers(found, target).pairs.items()
        for variable, array in layer.arrays.items()
    }


def _converted(variable: str, array: Array, port: Port, habits: Habits, epsilon: float) -> Array:
    """An array as our network needs it.

    Args:
        variable: Its name.
        array: The port's array.
        port: What the port's code does.
        habits: The network's flattened maps.
        epsilon: Epsilon of our layer.
    """
    if variable == "running_var":
        # The variance counts only as its sum with epsilon, which stays the same.
        return array + np.float32(port.epsilon - epsilon)
    if variable == "weight" and port.flatten == "chw":
        return _in_hwc(array, habits)
    return array


def _layers(arrays: Mapping[str, Array]) -> tuple[Layer, ...]:
    layers: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        layer, _, variable = name.rpartition(".")
        if variable != "num_batches_tracked":
            layers.setdefault(layer, {})[variable] = array
    return tuple(Layer(name, held) for name, held in layers.items())


def _in_hwc(kernel: Array, habits: Habits) -> Array:
    """Reorders the inputs of a layer that reads flattened maps."""
    if kernel.ndim != 2 or kernel.shape[1] not in habits.flattened:
        return kernel
    maps = kernel.reshape(kernel.shape[0], *habits.flattened[kernel.shape[1]])
    return maps.swapaxes(2, 3).reshape(kernel.shape)
