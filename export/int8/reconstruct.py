"""Rounds the layers of a graph in their order, each with the errors of those before it in sight.

A float twin runs beside. Each convolution and dense layer is solved again, so that its inputs as
int8 holds them give what the float inputs gave (`rounding.resolved`), is rounded on its own grid
(`rounding.rounded`), and its bias takes the mean error. The range of its output is the one with the
least squared error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.flatbuffer import pack
from export.int8 import twin
from export.int8.graph import Graph
from export.int8.layers import KINDS, round_layer
from export.int8.plan import Plan, note_of
from export.int8.ranges import Range, input_ranges, output_range
from export.int8.rounding import on_grid

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reconstruction:
    """What was rounded.

    Attributes:
        plan: What became int8.
        ranges: Of the tensors that become int8, by index.
        note: How much became int8, and what ended it, for people.
    """

    plan: Plan
    ranges: Mapping[int, Range]
    note: str


def reconstruct(
    graph: Graph,
    faces: Mapping[int, Tensor],
    plan: Plan,
    step: Callable[[int, int], None] = lambda done, of: None,  # noqa: ARG005
) -> Reconstruction:
    """Rounds the layers of a plan, in place.

    Args:
        graph: A float graph; its rounded weights stay float, on their grids.
        faces: By input tensor, a batch of faces, NCHW.
        plan: What should become int8.
        step: Is told how many ops are done, and of how many.

    Returns:
        What became int8: ops behind one that the twin cannot run stay float.
    """
    import torch

    original = Graph.parse(pack(graph.model))
    body, stored = set(plan.body), set(plan.stored)
    ops = graph.ops[: max(body | stored, default=-1) + 1]
    last = {tensor: op.index for op in ops for tensor in op.inputs}
    ranges: dict[int, Range] = {}
    stopped = ""
    exact, rough = dict(faces), dict(faces)
    random = np.random.default_rng(0)
    with torch.no_grad():
        for op in ops:
            seen = {t: rough[t] for t in op.inputs if t in rough}
            if op.index in body:
                known = input_ranges(graph, op, seen, ranges, random)
                if known is None:
                    body.remove(op.index)
                else:
                    ranges |= known
            try:
                exact[op.output] = twin.run(original, op, exact)
                if op.index in body:
                    seen = {t: on_grid(values, *ranges[t]) for t, values in seen.items()}
                if op.kind in KINDS and op.index in body | stored:
                    round_layer(graph, original, op, exact, seen, random)
                rough[op.output] = twin.run(graph, op, seen)
            except twin.UnknownOpError as unknown:
                body, stored = ({i for i in each if i < op.index} for each in (body, stored))
                stopped = f"; {unknown} is unknown here, so it and what follows stay float"
                break
            if op.index in body:
                ranges[op.output] = output_range(graph, op, rough[op.output], ranges, random)
                rough[op.output] = on_grid(rough[op.output], *ranges[op.output])
            for tensor in [t for t in exact if last.get(t, -1) <= op.index]:
                del exact[tensor], rough[tensor]
            step(op.index + 1, len(ops))
    made = Plan(frozenset(body), frozenset(stored))
    return Reconstruction(made, ranges, note_of(graph, made) + stopped)
