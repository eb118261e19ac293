"""Converts state dicts of other PyTorch code for a known network to the network's own.

A state dict has no wiring. If it is in the order in which its code registered the modules, as a
`.pth` file is, `topology` pairs it by order and numbers. Safetensors files are sorted by name, so
only numbers can pair them.

Two things differ between ports without a trace in the state dict, so the caller states them: the
order in which maps are flattened, and the epsilon of batch norms. The defaults are torch's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agecompact.models import registry
from agecompact.weights.importers import c3ae, ssrnet
from agecompact.weights.importers.departures import nearest
from agecompact.weights.importers.layouts import known
from agecompact.weights.importers.topology import (
    Array,
    Found,
    Habits,
    Known,
    Layer,
    Pairs,
    fits,
    match_layers,
    signature,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

Flatten = Literal["chw", "hwc"]

_TORCH_EPSILON = 1e-5
_HABITS: Mapping[str, Habits] = {
    "ssrnet": ssrnet.HABITS,
    "ssrnet-gender": ssrnet.HABITS,
    "c3ae": c3ae.HABITS,
    "c3ae-plain": c3ae.HABITS,
}
# Layers of SSR-Net that have equal shapes and the same input; most code names them by what they do.
_WORDS = {
    "p": {"p", "prob", "probs", "probability", "pred", "prediction", "dist", "distribution"},
    "eta": {"eta", "shift", "shifts", "offset", "offsets", "index", "local"},
}


@dataclass(frozen=True)
class Port:
    """What the code of a port does that its state dict does not show.

    Attributes:
        flatten: Order of the flattened maps: `chw` as torch's `flatten` and `view` leave them, or
            `hwc` as Keras and our networks do. None, if nobody said so, counts as `chw`.
        epsilon: Epsilon of the batch norms; None counts as torch's 1e-5.
    """

    flatten: Flatten | None = None
    epsilon: float | None = None

    @property
    def stated(self) -> bool:
        """Whether anybody said anything."""
        return self != Port()

    @property
    def text(self) -> str:
        """What holds, and what of it is assumed, for people."""
        flatten, epsilon = _verb(self.flatten), _verb(self.epsilon)
        return (
            f"maps {flatten} flattened in {self.flatten or 'chw'} order, epsilon of batch norms "
            f"{epsilon} {_TORCH_EPSILON if self.epsilon is None else self.epsilon:g}"
        )


@dataclass(frozen=True)
class Pairing:
    """The tensors of a port as those of one of our networks.

    Attributes:
        names: The port's name, by the network's. A bias before a batch norm may be one that the
            network does not have, or be missing.
        shapes: The network's shapes.
        means: Name of the running mean of the batch norm behind a convolution, by the name that the
            convolution's bias has or would have.
        notes: How they were paired, for people.
    """

    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    means: Mapping[str, str]
    notes: tuple[str, ...]


def is_known(model_id: str) -> bool:
    """Whether there are ports of a model."""
    return model_id in _HABITS


def match(
    model_id: str,
    arrays: Mapping[str, Array],
    *,
    config: Mapping[str, Any] | None = None,
    port: Port | None = None,
    where: str = "the state dict",
    ordered: bool = True,
) -> dict[str, Array]:
    """The state of one of our networks, from that of a port with names of its own.

    Args:
        model_id: Registered id of the network.
        arrays: float32 arrays by name, in the order of registration if it is known. Arrays that are
            sorted by name count as without order.
        config: Configuration of the network's factory, if not the default.
        port: What the port's code does; torch's defaults if not given.
        where: The file, for messages.
        ordered: Whether their order may be that of registration.

    Returns:
        Arrays by the network's names, for `load_state_dict(strict=False)`: batch counters are left
        out.

    Raises:
        UsageError: There is no such model, the arrays do not fit it, or two layers of equal shapes
            could be swapped.
    """
    import torch

    shapes = {name: array.shape for name, array in arrays.items()}
    pairing = pair(model_id, shapes, config=config, ordered=ordered, where=where)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return converted(model_id, placed(pairing, tensors), port or Port(), config)


def pair(
    model_id: str,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    config: Mapping[str, Any] | None = None,
    ordered: bool = True,
    where: str = "the state dict",
) -> Pairing:
    """Pairs the tensors of a port with those of one of our networks.

    Args:
        model_id: As in `match`.
        shapes: Shapes of the port's tensors by name, in the order of registration if it is known.
        config: As in `match`.
        ordered: As in `match`.
        where: As in `match`.

    Raises:
        DepartureError: The port is of another network.
        UsageError: There is no such model, or two layers could be swapped.
    """
    network = registry.outline(model_id, config)
    habits = _HABITS.get(model_id, Habits())
    # Registration puts a layer's weight before its bias, so a sorted state dict was sorted later.
    found = Found(where, _layers(shapes), ordered and list(shapes) != sorted(shapes))
    norms = dict(_norms(network))
    variants = tuple(_variants(known(network, f"'{model_id}'", habits, wired=False), norms))
    target = next((variant for variant in variants if fits(found, variant)), None)
    if target is None:
        raise nearest(found, variants)
    matched = match_layers(found, target)
    pairs, named = _by_role(matched.pairs)
    names = {
        f"{module}.{variable}": f"{layer.name}.{variable}" if layer.name else variable
        for module, layer in pairs.items()
        for variable in layer.arrays
    }
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return Pairing(
        names=names,
        shapes=own,
        means={f"{conv}.bias": f"{norm}.running_mean" for conv, norm in norms.items()},
        notes=(
            f"a port with names of its own: its {len(pairs)} layers match by their shapes and by "
            f"{matched.how}",
            *named,
            *_bias_notes(target, variants),
        ),
    )


def placed(pairing: Pairing, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a port by the network's names and in its shapes.

    A bias before a batch norm only shifts the mean that the norm subtracts. One that the network
    does not have goes into that mean; one that the port does not have is 0.

    Args:
        pairing: How they are paired.
        tensors: The port's tensors by its names.
    """
    import torch

    held = {own: tensors[name] for own, name in pairing.names.items()}
    for bias, mean in pairing.means.items():
        if bias in held and bias not in pairing.shapes:
            held[mean] = held[mean].float() - held.pop(bias).float()
        elif bias in pairing.shapes and bias not in held:
            held[bias] = torch.zeros(pairing.shapes[bias])
    return {own: tensor.reshape(pairing.shapes[own]) for own, tensor in held.items()}


def converted(
    model_id: str,
    tensors: Mapping[str, Tensor],
    port: Port,
    config: Mapping[str, Any] | None = None,
) -> dict[str, Array]:
    """What our network needs to compute what a port computes.

    Args:
        model_id: As in `match`.
        tensors: The port's float32 tensors, by the network's names and in its shapes.
        port: What the port's code does.
        config: As in `match`.
    """
    network = registry.outline(model_id, config)
    flattened = _HABITS.get(model_id, Habits()).flattened
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    if port.flatten != "hwc":
        arrays = {name: _in_hwc(array, flattened) for name, array in arrays.items()}
    theirs = _TORCH_EPSILON if port.epsilon is None else port.epsilon
    for name, module in network.named_modules():
        if f"{name}.running_var" in arrays:
            _change_epsilon(arrays, name, theirs, float(getattr(module, "eps", theirs)))
    return arrays


def _change_epsilon(arrays: dict[str, Array], name: str, theirs: float, ours: float) -> None:
    """Changes a batch norm so that it computes with our epsilon what it did with theirs.

    The variance counts only as its sum with epsilon, which stays the same. A variance that is
    smaller than the difference becomes 0, and the weight makes up for it.
    """
    variance, weight = f"{name}.running_var", f"{name}.weight"
    sums = arrays[variance].astype(np.float64) + theirs
    kept = np.maximum(sums - ours, 0.0)
    arrays[variance] = kept.astype(np.float32)
    if weight in arrays:
        factor = np.where(kept > 0, 1.0, np.sqrt(ours / sums))
        arrays[weight] = (arrays[weight] * factor).astype(np.float32)


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Layer, ...]:
    layers: dict[str, dict[str, Array]] = {}
    for name, shape in shapes.items():
        layer, _, variable = name.rpartition(".")
        if variable != "num_batches_tracked":
            # Shapes are all that pairing looks at.
            layers.setdefault(layer, {})[variable] = np.broadcast_to(np.float32(0), shape)
    return tuple(Layer(name, held) for name, held in layers.items())


def _norms(network: nn.Module) -> Iterator[tuple[str, str]]:
    """The batch norm that follows each convolution."""
    from torch import nn

    leaves = [(name, m) for name, m in network.named_modules() if not any(m.children())]
    for (name, module), (after, norm) in pairwise(leaves):
        if isinstance(module, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            yield name, after


def _variants(target: Known, norms: Mapping[str, str]) -> Iterator[Known]:
    """A network as it is, and with and without every bias that a batch norm cancels."""
    yield target
    for has in (True, False):
        modules = dict(target.modules)
        for conv in norms:
            shapes = dict(modules[conv])
            bias = {"bias": shapes["weight"][:1]} if has else {}
            modules[conv] = signature({"weight": shapes["weight"], **bias})
        yield dataclasses.replace(target, modules=modules)


def _bias_notes(target: Known, variants: tuple[Known, ...]) -> Iterator[str]:
    if target is variants[1]:
        yield "a bias before a batch norm was put into the norm's mean"
    elif target is variants[2]:
        yield "its convolutions before a batch norm have no bias: ours is 0"


def _by_role(pairs: Pairs) -> tuple[Pairs, tuple[str, ...]]:
    """Exchanges layers of equal shapes and the same input whose names say that they are reversed.

    Returns:
        The pairs, and which layer of the first stage was taken for which, for people.
    """
    changed = dict(pairs)
    notes = []
    for module in pairs:
        stage, _, role = module.rpartition(".")
        other = f"{stage}.eta"
        if role != "p" or other not in pairs:
            continue
        roles = _role(pairs[module].name), _role(pairs[other].name)
        if roles[0] != roles[1] and (roles[0] == "eta" or roles[1] == "p"):
            changed[module], changed[other] = pairs[other], pairs[module]
        notes.append(f"'{changed[module].name}' was taken for p, '{changed[other].name}' for eta")
    return changed, tuple(notes[:1])


def _role(name: str) -> str:
    """What a layer is by the words in its name; empty if they do not tell."""
    words = {*re.split(r"[^a-z]+", name.lower())}
    roles = [role for role, known_words in _WORDS.items() if words & known_words]
    return roles[0] if len(roles) == 1 else ""


def _in_hwc(kernel: Array, flattened: Mapping[int, tuple[int, int, int]]) -> Array:
    """Reorders the inputs of a layer that reads flattened maps."""
    if kernel.ndim != 2 or kernel.shape[1] not in flattened:
        return kernel
    maps = kernel.reshape(kernel.shape[0], *flattened[kernel.shape[1]])
    return np.ascontiguousarray(maps.swapaxes(2, 3)).reshape(kernel.shape)


def _verb(stated: object) -> str:
    return "assumed" if stated is None else "stated as"
