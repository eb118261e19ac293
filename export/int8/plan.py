"""Which ops of a graph become int8."""

from __future__ import annotations

from dataclasses import dataclass

from export.int8.graph import Graph, Op, moved
from export.int8.layers import KINDS
from export.int8.ranges import FIXED

# XNNPACK runs these on maps in int8. It runs others in float between two of them.
_ON_MAPS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "PAD", "CONCATENATION", "ADD", "MUL", "SUM"}
    | {"MEAN", *FIXED}
)
# A dense layer behind maps with this share of all weights is worth its error.
_LARGE_SHARE = 0.1
# A dense layer with fewer weights is not worth the scale of each of its rows.
_FEW_WEIGHTS = 256


@dataclass(frozen=True)
class Plan:
    """What becomes int8.

    Attributes:
        body: Indices of the ops that compute in int8.
        stored: Indices of the layers whose weights alone are int8; they compute in float.
    """

    body: frozenset[int]
    stored: frozenset[int]

    def without(self, graph: Graph, fragile: frozenset[int]) -> Plan:
        """The plan with some ops in float, and those that would be alone between them as well."""
        body = self.body - fragile
        beside = {op.index: neighbours(graph, op) & self.body for op in graph.ops}
        alone = {index for index in body if beside[index] and not beside[index] & body}
        return Plan(body - alone, self.stored)

    def shifted(self, place: int) -> Plan:
        """The plan after a float op was put at a place in the order of execution."""
        return Plan(
            *(frozenset(moved(i, place) for i in each) for each in (self.body, self.stored))
        )


def plan_of(graph: Graph) -> Plan:
    """int8 for the ops on maps, and for large dense layers that read flattened maps.

    What shrinks the image computes in float: three channels fill no vector of int8, and the image
    is then rounded once, as the smaller one that the next layer reads. The rest of the head
    computes in float: it costs little, and its errors reach the answer undiminished. Its dense
    layers store int8.
    """
    body = {
        op.index
        for op in graph.ops
        if op.kind in _ON_MAPS and len(graph.shape(op.output)) == 4
        if not _shrinks_image(graph, op)
    }
    sizes = {op.index: _weights_of(graph, op) for op in graph.ops if op.kind in KINDS}
    for op in graph.ops:
        flattened = graph.producer(op.inputs[0]) if op.kind == "FULLY_CONNECTED" else None
        if flattened is None or flattened.kind != "RESHAPE":
            continue
        maps = graph.producer(flattened.inputs[0])
        if maps is None or maps.index not in body:
            continue
        if sizes[op.index] >= _LARGE_SHARE * sum(sizes.values()):
            body |= {flattened.index, op.index}
    stored = {
        op.index
        for op in graph.ops
        if op.kind == "FULLY_CONNECTED" and op.index not in body
        if sizes[op.index] >= _FEW_WEIGHTS
    }
    return Plan(frozenset(body), frozenset(stored))


def _shrinks_image(graph: Graph, op: Op) -> bool:
    return op.kind == "DEPTHWISE_CONV_2D" and op.inputs[0] in graph.inputs


def note_of(graph: Graph, plan: Plan) -> str:
    """How much is int8, for people."""
    layers = {op.index for op in graph.ops if op.kind in KINDS}
    note = f"{len(plan.body & layers)} of {len(layers)} layers are int8"
    return note + (f", {len(plan.stored)} have rounded weights" if plan.stored else "")


def _weights_of(graph: Graph, op: Op) -> int:
    stored = graph.constant(op.inputs[1])
    return 0 if stored is None else stored.size


def neighbours(graph: Graph, op: Op) -> frozenset[int]:
    """The ops that write what an op reads, and those that read what it writes."""
    before = [graph.producer(tensor) for tensor in op.inputs]
    after = graph.readers(op.output)
    return frozenset(each.index for each in (*before, *after) if each is not None)
