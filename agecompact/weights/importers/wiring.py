"""How the layers with weights of a network are connected, whatever their names.

A Keras architecture and a torch network are both reduced to their layers with weights: each with
its settings, the function after it, the pools before it, and the nearest layers with weights that
it reads. Equal reductions compute the same, as far as layers of the known classes go.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

# 500 times as many as the largest known layout has.
_MOST_LINKS = 2**16
_FUNCTIONS = frozenset({"relu", "tanh", "sigmoid", "softmax"})


@dataclass(frozen=True)
class Node:
    """A layer with weights.

    Attributes:
        name: Its name; in a nested Keras model, after the name of the model and a slash.
        traits: Settings that are not the default, the function after it, the pools before it.
        inputs: The nearest layers with weights that it reads; none for the image.
    """

    name: str
    traits: tuple[str, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Wiring:
    """The layers with weights of a network.

    Attributes:
        nodes: The layers, in the order of the architecture.
        ends: What the last operations without weights read, by their names.
    """

    nodes: tuple[Node, ...] = ()
    ends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Op:
    """A layer or an operation.

    Attributes:
        inputs: What it reads.
        settings: Settings that are not the default; None if it has no weights.
        function: The nonlinear function that it is, or ends with.
        pool: The pool that it is.
    """

    inputs: tuple[str, ...]
    settings: tuple[str, ...] | None = None
    function: str = ""
    pool: str = ""


def fingerprints(nodes: Sequence[Node], shapes: Mapping[str, Any]) -> dict[str, str]:
    """A text for each node that is the same for the same layer behind the same layers.

    Args:
        nodes: The nodes.
        shapes: Shapes of the arrays by node.
    """
    by_name = {node.name: node for node in nodes}
    prints: dict[str, str] = {}
    for name in TopologicalSorter({node.name: node.inputs for node in nodes}).static_order():
        node = by_name[name]
        behind = sorted(prints[source] for source in node.inputs)
        text = repr((shapes[name], node.traits, behind))
        prints[name] = hashlib.sha256(text.encode()).hexdigest()
    return prints


def of_keras(model: Mapping[str, Any]) -> Wiring:
    """The wiring of a Keras architecture, `model_config`; empty if it has no layers.

    Raises:
        Exception: The architecture is damaged: of any class.
    """
    return _condensed(dict(_keras_ops(model.get("config", {}), "", ())))


def of_network(network: nn.Module) -> Wiring:
    """The wiring of a torch network that torch.fx can trace."""
    from torch import fx

    modules = dict(network.named_modules())
    ops: dict[str, _Op] = {}
    names: dict[fx.Node, str] = {}
    for node in fx.symbolic_trace(network).graph.nodes:
        called = modules[node.target] if node.op == "call_module" else None
        op = _torch_op(node, called, tuple(names[source] for source in node.all_input_nodes))
        # A module's path may be the name of an operation.
        names[node] = node.target if op.settings is not None else f"%{node.name}"
        ops[names[node]] = op
    return _condensed(ops)


def _torch_op(node: Any, module: nn.Module | None, inputs: tuple[str, ...]) -> _Op:
    from torch import nn

    match module:
        case nn.Conv2d():
            return _Op(
                inputs,
                settings=_settings(
                    stride=module.stride, padding=module.padding, dilation=module.dilation
                ),
            )
        case nn.BatchNorm2d():
            return _Op(inputs, settings=(f"epsilon {module.eps:g}",))
        case nn.Linear():
            return _Op(inputs, settings=())
        case nn.AvgPool2d() | nn.MaxPool2d():
            kind = "average" if isinstance(module, nn.AvgPool2d) else "max"
            return _Op(inputs, pool=_pool(kind, module.kernel_size, module.stride, module.padding))
        case None:
            name = getattr(node.target, "__name__", str(node.target))
        case _:
            name = type(module).__name__.lower()
    return _Op(inputs, function=name if name in _FUNCTIONS else "")


def _keras_ops(
    config: Mapping[str, Any], prefix: str, outside: tuple[str, ...]
) -> Iterator[tuple[str, _Op]]:
    """The layers of an architecture; a nested model is an operation that reads its outputs.

    Args:
        config: Configuration of the model.
        prefix: What to put before its names.
        outside: What its inputs read.
    """
    for layer in config.get("layers", []):
        kind, inner = layer["class_name"], layer["config"]
        name = prefix + layer.get("name", inner["name"])
        references = _references(layer.get("inbound_nodes", []))
        inputs = tuple(dict.fromkeys(prefix + reference for reference in references))
        if "layers" in inner:
            yield from _keras_ops(inner, f"{name}/", inputs)
            outputs = _references(inner.get("output_layers", []))
            yield name, _Op(tuple(f"{name}/{output}" for output in outputs))
        else:
            yield name, _keras_op(kind, inner, inputs or outside)


def _keras_op(kind: str, config: Mapping[str, Any], inputs: tuple[str, ...]) -> _Op:
    """A layer; a setting that is not stored has Keras' default."""
    activation = str(config.get("activation", "linear"))
    function = "" if activation == "linear" else activation
    padding = config.get("padding", "valid")
    padding = 0 if padding == "valid" else padding
    match kind:
        case "Conv2D":
            strides, dilation = config.get("strides", 1), config.get("dilation_rate", 1)
            settings = _settings(stride=strides, padding=padding, dilation=dilation)
            return _Op(inputs, settings=settings, function=function)
        case "Dense":
            return _Op(inputs, settings=(), function=function)
        case "BatchNormalization":
            return _Op(inputs, settings=(f"epsilon {config.get('epsilon', 1e-3):g}",))
        case "Activation":
            return _Op(inputs, function=function)
        case "ReLU":
            changed = any(config.get(name) for name in ("max_value", "negative_slope", "threshold"))
            return _Op(inputs, function="another relu" if changed else "relu")
        case "AveragePooling2D" | "MaxPooling2D":
            size = config.get("pool_size", 2)
            strides = config.get("strides") or size
            pool = "average" if kind.startswith("Average") else "max"
            return _Op(inputs, pool=_pool(pool, size, strides, padding))
    return _Op(inputs)


def _references(stored: Any) -> Iterator[str]:
    """Layers that a stored value refers to: `[name, call, tensor, ...]`, however nested."""
    if isinstance(stored, Mapping):
        for value in stored.values():
            yield from _references(value)
    elif isinstance(stored, list):
        if len(stored) >= 3 and isinstance(stored[0], str) and isinstance(stored[1], int):
            yield stored[0]
        for value in stored:
            yield from _references(value)


def _condensed(ops: Mapping[str, _Op]) -> Wiring:
    """Leaves out what has no weights."""
    readers: dict[str, list[_Op]] = defaultdict(list)
    for op in ops.values():
        for source in op.inputs:
            readers[source].append(op)
    reach: dict[str, frozenset[str]] = {}
    pools: dict[str, frozenset[str]] = {}
    nodes: dict[str, Node] = {}
    links = 0
    for name in TopologicalSorter({name: op.inputs for name, op in ops.items()}).static_order():
        op = ops[name]
        reach[name] = frozenset[str]().union(*(reach[source] for source in op.inputs))
        pools[name] = frozenset[str]().union(*(pools[source] for source in op.inputs))
        pools[name] |= {op.pool} if op.pool else set()
        links += len(reach[name])
        if links > _MOST_LINKS:
            raise ValueError(f"the architecture has more than {_MOST_LINKS:,} connections")
        if op.settings is not None:
            function = op.function or _function_of(readers[name])
            before = [f"after {pool}" for pool in sorted(pools[name])]
            traits = (*op.settings, function or "linear", *before)
            nodes[name] = Node(name, traits, tuple(sorted(reach[name])))
            reach[name], pools[name] = frozenset({name}), frozenset()
    return Wiring(
        nodes=tuple(nodes[name] for name in ops if name in nodes),
        ends={
            name: tuple(sorted(reach[name]))
            for name in ops
            if name not in nodes and not readers[name]
        },
    )


def _function_of(readers: Sequence[_Op]) -> str:
    """The function that every reader of a layer is, or none."""
    functions = {op.function if op.settings is None else "" for op in readers}
    return functions.pop() if len(functions) == 1 else ""


def _settings(**values: Any) -> tuple[str, ...]:
    default = {"stride": 1, "padding": 0, "dilation": 1}
    sides = {name: _side(value) for name, value in values.items()}
    return tuple(f"{name} {side}" for name, side in sides.items() if side != default[name])


def _pool(kind: str, size: Any, stride: Any, padding: Any) -> str:
    text = f"{kind} pool {_side(size)}"
    text += "" if _side(stride) == _side(size) else f" stride {_side(stride)}"
    return text + ("" if _side(padding) == 0 else f" padding {_side(padding)}")


def _side(value: Any) -> Any:
    """2 for 2, (2, 2) and [2, 2]; other values as they are."""
    if isinstance(value, list | tuple):
        return value[0] if len(set(value)) == 1 else tuple(value)
    return value
