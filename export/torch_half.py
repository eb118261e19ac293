"""A PyTorch network that computes in half precision, but for its first and its last layers.

As in Core ML packages (`export.mixed_precision`), nearly all of the error of half precision
originates in the first layers, which read values far from zero, and a rounding error of the last
layers goes straight into the answer. Both have few weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from export.full_share import kept


class InHalf(nn.Module):
    """A network whose layers in the middle compute, and store their weights, in float16.

    Args:
        graph: An exported network as a graph of ATen ops.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        full = _full_nodes(graph)
        held = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
        # Buffers of its own: those of the graph have names that an exporter cannot nest.
        self._names: dict[str, str] = {}
        for node in graph.graph.nodes:
            if node.op == "get_attr" and str(node.target) not in self._names:
                value = held[str(node.target)].detach()
                is_half = value.is_floating_point() and full.isdisjoint(node.users)
                self._names[str(node.target)] = name = f"constant_{len(self._names)}"
                self.register_buffer(name, value.half() if is_half else value)
        # In a tuple, so that it is no submodule.
        self._run = (_Casting(graph, full, self._constant),)

    def _constant(self, target: str) -> Tensor:
        return self.get_buffer(self._names[target])

    def forward(self, *inputs: Tensor) -> Any:
        """The outputs, float32."""
        return self._run[0].run(*inputs)


class _Casting(fx.Interpreter):
    """Runs a graph, each node in its own precision."""

    def __init__(
        self, graph: fx.GraphModule, full: frozenset[fx.Node], constant: Callable[[str], Tensor]
    ) -> None:
        super().__init__(graph)
        self._full = full
        self._constant = constant

    def run_node(self, n: fx.Node) -> Any:
        """Casts what a node reads, and what the graph returns."""
        if n.op == "get_attr":
            return self._constant(str(n.target))
        if n.op not in ("call_function", "output"):
            return super().run_node(n)
        kind = torch.float32 if n in self._full or n.op == "output" else torch.float16
        read = self.fetch_args_kwargs_from_env(n)
        args, kwargs = (fx.node.map_aggregate(each, _to(kind)) for each in read)
        run: Callable[..., Any] = self.output if n.op == "output" else self.call_function
        return run(n.target, args, kwargs)


def _to(kind: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        is_float = isinstance(value, Tensor) and value.is_floating_point()
        return value.to(kind) if is_float and value.dtype != kind else value

    return cast


def _full_nodes(graph: fx.GraphModule) -> frozenset[fx.Node]:
    """The nodes that stay float32.

    The depth of a node is the number of nodes with weights before it.
    """
    sizes = _sizes(graph)
    depths: dict[fx.Node, int] = {}
    levels: list[int] = []
    for node in graph.graph.nodes:
        read = [each for each in node.all_input_nodes if each in depths]
        depth = max((depths[each] + bool(_held(each, sizes)) for each in read), default=0)
        depths[node] = depth
        levels += [0] * (depth + 1 - len(levels))
        levels[depth] += _held(node, sizes)
    first = max(1, kept(levels))
    last = len(levels) - kept(levels[::-1])
    return frozenset(node for node, depth in depths.items() if depth < first or depth >= last)


def _sizes(graph: fx.GraphModule) -> Mapping[str, int]:
    held = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    return {name: value.numel() for name, value in held.items() if value.dim() > 1}


def _held(node: fx.Node, sizes: Mapping[str, int]) -> int:
    """Number of weights that a node reads."""
    if node.op != "call_function":
        return 0
    read = (each for each in node.all_input_nodes if each.op == "get_attr")
    return sum(sizes.get(str(each.target), 0) for each in read)
