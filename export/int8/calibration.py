"""What calibration finds out: enough to write a float graph in int8 without the faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from export.int8.equalise import Factors, insert
from export.int8.graph import Array, Graph, Op
from export.int8.layers import KINDS
from export.int8.plan import Plan
from export.int8.ranges import Range


@dataclass(frozen=True)
class Calibration:
    """How a float graph becomes int8. Ops and tensors are those of the graph with `factors`.

    Attributes:
        plan: What becomes int8.
        ranges: Of the activations that become int8, by tensor.
        constants: Constants with other values, by tensor: rounded weights, which are on their
            grids, shifted biases, and weights that absorbed the factors of channels.
        factors: Multiplications that the graph gets, in this order.
        note: How much is int8, for people.
        spans: The least and the greatest value of each activation of the float graph, by tensor of
            the graph without the factors; int16 is made of them.
        costs: What each op that was tried costs in int8 alone, by index: how far it moves the
            answers, as a share of their standard deviation.
    """

    plan: Plan
    ranges: Mapping[int, Range]
    constants: Mapping[int, Array]
    factors: tuple[Factors, ...]
    note: str
    costs: Mapping[int, float] = field(default_factory=dict)
    spans: Mapping[int, Range] = field(default_factory=dict)


def rounded_ops(graph: Graph, plan: Plan) -> tuple[Op, ...]:
    """The layers whose weights a plan rounds: each row's greatest weight is 127 steps."""
    planned = plan.body | plan.stored
    return tuple(op for op in graph.ops if op.kind in KINDS and op.index in planned)


def apply(graph: Graph, calibration: Calibration) -> None:
    """Changes a float graph as its calibration says, in place; it stays float."""
    for each in calibration.factors:
        insert(graph, each)
    for tensor, values in calibration.constants.items():
        graph.set_constant(tensor, values)


def applied(content: bytes, calibration: Calibration) -> Graph:
    """The graph of a float file, changed as its calibration says; it stays float."""
    graph = Graph.parse(content)
    apply(graph, calibration)
    return graph


def differences(original: Graph, changed: Graph) -> dict[int, Array]:
    """The constants of a graph that have other values in another one, as those are there."""
    found = {}
    for tensor in {tensor for op in original.ops for tensor in op.inputs if tensor >= 0}:
        before, after = original.constant(tensor), changed.constant(tensor)
        if before is not None and after is not None and before.tobytes() != after.tobytes():
            found[tensor] = after
    return found
