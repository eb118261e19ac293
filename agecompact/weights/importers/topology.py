"""Pairs the layers of a foreign weights file with the modules of a known network.

Names differ from file to file, so they alone prove nothing. A file has up to three kinds of
evidence beside the shapes of its arrays, which must be the network's:

1. Wiring, if the file stores its architecture. It decides whatever the names and the order are: a
   layer is known by its shapes, its settings, the function after it, and the layers that it reads.
2. Numbers: layers of equal shapes whose names differ in a number only (`conv2d_7`, `conv2d_9`) are
   in the order of these numbers, which must be an order in which that network is known to be built.
3. Order: the shapes of all layers, as the file lists them, must be those of the network in an order
   in which it is known to be saved. Position then pairs them.

Without wiring, numbers and order must agree where both pair all layers. Where they contradict each
other, or neither pairs all layers, two layers of equal shapes could be swapped without a sign of
it, so the file is refused and the two are named.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agecompact.errors import UsageError
from agecompact.weights.importers.wiring import Node, Wiring, fingerprints

Array = npt.NDArray[np.float32]

# Shapes of a layer's arrays by torch's variable names.
Signature = tuple[tuple[str, tuple[int, ...]], ...]

_NUMBERED = re.compile(r"(.*?)([0-9]{0,9})", re.DOTALL)
_SEPARATORS = "_.-/"


@dataclass(frozen=True)
class Layer:
    """A layer of a file.

    Attributes:
        name: Its name in the file.
        arrays: Its arrays by torch's variable names, in torch's order (OIHW, out x in). Others keep
            their names.
    """

    name: str
    arrays: Mapping[str, Array]

    @property
    def signature(self) -> Signature:
        """The shapes of its arrays."""
        return signature({name: array.shape for name, array in self.arrays.items()})


@dataclass(frozen=True)
class Found:
    """The layers of a file.

    Attributes:
        where: The file, for messages.
        layers: Its layers.
        ordered: Whether the layers are in the order in which the file's writer listed them.
        wiring: The stored architecture; without nodes if there is none.
    """

    where: str
    layers: tuple[Layer, ...]
    ordered: bool
    wiring: Wiring = field(default_factory=Wiring)


@dataclass(frozen=True)
class Habits:
    """How files of a network are written.

    Attributes:
        orders: Modules in each order in which such files are written, beside the network's own.
        roles: The last part of a module's name, by the stem of a layer's name that means it. Needed
            only for modules of equal shapes that layers of several stems stand for.
        flattened: Crops, channels and pixels of the flattened maps, by the width of the layer that
            reads them.
    """

    orders: tuple[tuple[str, ...], ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    flattened: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A known network.

    Attributes:
        title: Its name for people.
        modules: Shapes of its modules with weights, in its own order.
        habits: How its files are written.
        wiring: How its modules are connected; without nodes where no file tells.
    """

    title: str
    modules: Mapping[str, Signature]
    habits: Habits
    wiring: Wiring = field(default_factory=Wiring)

    @property
    def orders(self) -> tuple[tuple[str, ...], ...]:
        """Every order in which files are written."""
        return (*self.habits.orders, tuple(self.modules))


# The file's layer, by module of the network.
Pairs = Mapping[str, Layer]


@dataclass(frozen=True)
class Match:
    """The layers of a file as modules of a network.

    Attributes:
        pairs: The file's layer, by module.
        ends: What the last operations without weights of the stored architecture read, by their
            names: modules of the network.
        how: What paired them, for people.
    """

    pairs: Pairs
    ends: Mapping[str, frozenset[str]] = field(default_factory=dict)
    how: str = "the wiring"


def signature(shapes: Mapping[str, tuple[int, ...]]) -> Signature:
    """Shapes in a form that is the same for a Linear and a 1x1 convolution."""
    return tuple((name, _squeezed(shape)) for name, shape in sorted(shapes.items()))


def stem(name: str) -> str:
    """A layer's name without its number: `conv2d` for `conv2d_7` and `conv2d`."""
    return _split(name)[0]


def fits(found: Found, known: Known) -> bool:
    """Whether the file has the network's shapes, in whatever order."""
    return Counter(layer.signature for layer in found.layers) == Counter(known.modules.values())


def match_layers(found: Found, known: Known) -> Match:
    """Pairs the layers of a file that fits a network with the network's modules.

    Raises:
        UsageError: The wiring differs, or two layers could be swapped.
    """
    if found.wiring.nodes and known.wiring.nodes:
        return _by_wiring(found, known)
    readings: dict[str, Pairs] = {}
    for order in known.orders:
        for how, pairs in (
            ("the numbers in the names", _by_numbers(found, known, order)),
            ("the order of the layers", _by_order(found, known, order)),
        ):
            if pairs:
                _agree(found, readings, pairs, how)
                readings[how] = pairs
    if not readings:
        raise _swappable(found, known)
    how, pairs = next(iter(readings.items()))
    return Match(pairs, how=how)


def _by_wiring(found: Found, known: Known) -> Match:
    modules = {print_: name for name, print_ in _prints(known).items()}
    readings: dict[str, Pairs] = {}
    joins = dict(_joins(found))
    for how, join in joins.items():
        prints = _joined_prints(found, join)
        if set(prints.values()) == modules.keys():
            pairs = {modules[prints[node]]: layer for node, layer in join.items()}
            _agree(found, readings, pairs, how)
            readings[how] = pairs
            ends = {
                end: frozenset(modules[prints[node]] for node in nodes)
                for end, nodes in found.wiring.ends.items()
            }
    if not readings:
        raise _parting(found, known, next(iter(joins.values()), {}))
    return Match(next(iter(readings.values())), ends)


def _prints(known: Known) -> dict[str, str]:
    return fingerprints(known.wiring.nodes, known.modules)


def _joined_prints(found: Found, join: Mapping[str, Layer]) -> dict[str, str]:
    return fingerprints(found.wiring.nodes, {n: layer.signature for n, layer in join.items()})


def _joins(found: Found) -> Iterator[tuple[str, dict[str, Layer]]]:
    """The weights of each node of the stored architecture: by name, and in order as Keras joins."""
    nodes = found.wiring.nodes
    if len(nodes) != len(found.layers):
        return
    layers = {layer.name: layer for layer in found.layers}
    names = {node.name: node.name.rpartition("/")[2] for node in nodes}
    if len(layers) == len(nodes) and set(names.values()) == layers.keys():
        yield "the names in the architecture", {n: layers[name] for n, name in names.items()}
    if found.ordered:
        yield "the order of the architecture", dict(zip(names, found.layers, strict=True))


def _by_order(found: Found, known: Known, order: Sequence[str]) -> Pairs | None:
    shapes = [known.modules[module] for module in order]
    if not found.ordered or shapes != [layer.signature for layer in found.layers]:
        return None
    return dict(zip(order, found.layers, strict=True))


def _by_numbers(found: Found, known: Known, order: Sequence[str]) -> Pairs | None:
    """Pairs layers of equal shapes, with roles as far as the names tell them, by their numbers."""
    with_roles = _ranked(found, known, order, known.habits.roles)
    return with_roles or _ranked(found, known, order, {})


def _ranked(
    found: Found, known: Known, order: Sequence[str], roles: Mapping[str, str]
) -> Pairs | None:
    """Pairs layers of equal shapes and role in the order of their numbers.

    A stem's numbers must rise along the order of the whole network, or it was built otherwise.
    """
    meant = set(roles.values())
    modules: dict[tuple[Signature, str], list[str]] = defaultdict(list)
    for module in order:
        last = module.rpartition(".")[2]
        modules[known.modules[module], last if last in meant else ""].append(module)
    layers: dict[tuple[Signature, str], list[Layer]] = defaultdict(list)
    for layer in sorted(found.layers, key=lambda layer: _split(layer.name)[1]):
        layers[layer.signature, roles.get(stem(layer.name), "")].append(layer)
    if any(len(group) != len(layers[key]) for key, group in modules.items()):
        return None
    if any(len({stem(layer.name) for layer in group}) > 1 for group in layers.values()):
        return None
    pairs = {
        module: layer
        for key, group in modules.items()
        for module, layer in zip(group, layers[key], strict=True)
    }
    reached: dict[str, int] = {}
    for module in order:
        name, number = _split(pairs[module].name)
        if number <= reached.get(name, -1):
            return None
        reached[name] = number
    return {module: pairs[module] for module in known.modules}


def _agree(found: Found, readings: Mapping[str, Pairs], pairs: Pairs, how: str) -> None:
    """Raises an error if an earlier reading pairs the layers otherwise."""
    for earlier, others in readings.items():
        for module, layer in pairs.items():
            if others[module] is not layer:
                raise UsageError(
                    f"{found.where} contradicts itself",
                    why=f"by {earlier} '{others[module].name}' is {module}, "
                    f"by {how} it is '{layer.name}'",
                    fix="use the file as its author saved it",
                )


def _swappable(found: Found, known: Known) -> UsageError:
    """The error for layers that could be swapped: two of equal shapes, of several stems if any."""
    alike: dict[Signature, list[Layer]] = defaultdict(list)
    for layer in found.layers:
        alike[layer.signature].append(layer)
    shapes, group = max(alike.items(), key=lambda item: len({stem(x.name) for x in item[1]}))
    one = group[0]
    other = next((layer for layer in group if stem(layer.name) != stem(one.name)), group[-1])
    modules = [module for module in known.modules if known.modules[module] == shapes]
    return UsageError(
        f"cannot tell the layers of {found.where} apart",
        why=f"'{one.name}' and '{other.name}' could be swapped: both have {shapes_text(shapes)}, "
        f"and neither the wiring, nor numbers in the names, nor the order tells which of them is "
        f"{modules[0]} and which is {modules[-1]}",
        fix="use the file as its author saved it, with its architecture if possible (Keras: save)",
    )


def _parting(found: Found, known: Known, join: Mapping[str, Layer]) -> UsageError:
    """The error for another wiring: the first layer that is connected otherwise."""
    what = f"the architecture in {found.where} differs from {known.title}"
    fix = "use a file of the repositories in agecompact's README"
    if not join:
        nodes = len(found.wiring.nodes)
        why = f"it has {nodes} layers with weights, the file stores weights of {len(found.layers)}"
        return UsageError(what, why=why, fix=fix)
    theirs, prints = _prints(known), _joined_prints(found, join)
    left = set(theirs.values())
    for node in found.wiring.nodes:
        if prints[node.name] not in left:
            break
        left.remove(prints[node.name])
    shapes = join[node.name].signature
    missing = [n for n in known.wiring.nodes if theirs[n.name] not in prints.values()]
    wanted = next((n for n in missing if known.modules[n.name] == shapes), missing[0])
    return UsageError(
        what,
        why=f"'{join[node.name].name}' is {_connection(node)}; expected {wanted.name}, "
        f"{_connection(wanted)}",
        fix=fix,
    )


def _connection(node: Node) -> str:
    reads = ", ".join(f"'{name}'" for name in node.inputs) or "the image"
    return ", ".join((*node.traits, f"reads {reads}"))


def shapes_text(shapes: Signature) -> str:
    """Shapes for people."""
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def _split(name: str) -> tuple[str, int]:
    """Stem and number; Keras leaves the number of the first layer of a kind away."""
    matched = _NUMBERED.fullmatch(name)
    assert matched  # It matches every text.
    text, digits = matched.groups()
    return text.rstrip(_SEPARATORS), int(digits or 0)
