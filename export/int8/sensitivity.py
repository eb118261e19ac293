"""What each op costs in int8, on its own: the others stay float.

Weights stay what they are: solving and rounding them again makes up for most of their error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from export.int8 import twin
from export.int8.graph import Graph, Op
from export.int8.layers import multiplications
from export.int8.plan import Plan, neighbours
from export.int8.ranges import KEEPS_SCALE, Range, input_ranges, output_range
from export.int8.rounding import on_grid

if TYPE_CHECKING:
    from torch import Tensor

# An op stays float if it alone moves the answers by more than this share of their spread (0.3 years
# for ages), and makes this part of all the squared error that is left. Beside one that stays float
# half as much is enough: it adds no conversion of its own.
_FRAGILE = 0.015
_BESIDE = 0.0075
_PART = 0.25
# Of all multiplications, at most this share stays float: a network whose answers hardly differ
# would otherwise stay float altogether.
_MOST = 0.125


def costs(graph: Graph, faces: Mapping[int, Tensor], plan: Plan) -> dict[int, float]:
    """The error of the answers with one op in int8, as a share of their standard deviation.

    Args:
        graph: A float graph.
        faces: By input tensor, a batch of faces, NCHW.
        plan: The ops to try.

    Returns:
        By index, the greatest of all outputs; none if the twin cannot run the whole graph.
    """
    import torch

    random = np.random.default_rng(0)
    values = dict(faces) | dict(twin.walk(graph, faces))
    if not values.keys() >= set(graph.outputs):
        return {}
    ranges: dict[int, Range] = {}
    found = {}
    # Each reading of `graph.ops` makes them anew.
    ops = graph.ops
    with torch.no_grad():
        for op in ops:
            if op.index not in plan.body:
                continue
            seen = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
            known = input_ranges(graph, op, seen, ranges, random)
            if known is None:
                continue
            ranges |= known
            ranges[op.output] = output_range(graph, op, values[op.output], ranges, random)
            if op.kind in KEEPS_SCALE:
                # Its reader or its writer has the same error.
                continue
            changed = {op.output: _in_int8(graph, op, seen, ranges)}
            for later in ops[op.index + 1 :]:
                if any(tensor in changed for tensor in later.inputs):
                    reads = {t: values[t] for t in later.inputs if t in values}
                    reads |= {t: changed[t] for t in later.inputs if t in changed}
                    changed[later.output] = twin.run(graph, later, reads)
            moved = [_share(changed[t], values[t]) for t in graph.outputs if t in changed]
            found[op.index] = max(moved, default=0.0)
    return found


def fragile(graph: Graph, cost: Mapping[int, float]) -> frozenset[int]:
    """The ops that had better stay float, costliest first, as long as they multiply little.

    Args:
        graph: The graph.
        cost: Of each op, as `costs` measures it. Errors of different ops are independent, so their
            squares add up.
    """
    ops = graph.ops
    work = {op.index: multiplications(graph, op) for op in ops}
    left = _MOST * sum(work.values())
    error = sum(each**2 for each in cost.values())
    chosen: set[int] = set()
    for index in sorted(cost, key=lambda index: -cost[index]):
        least = _BESIDE if neighbours(graph, ops[index]) & chosen else _FRAGILE
        matters = cost[index] > least and cost[index] ** 2 > _PART * error
        if matters and work[index] <= left:
            left -= work[index]
            error -= cost[index] ** 2
            chosen.add(index)
    return frozenset(chosen)


def _in_int8(
    graph: Graph, op: Op, seen: Mapping[int, Tensor], ranges: Mapping[int, Range]
) -> Tensor:
    held = {tensor: on_grid(values, *ranges[tensor]) for tensor, values in seen.items()}
    return on_grid(twin.run(graph, op, held), *ranges[op.output])


def _share(values: Tensor, right: Tensor) -> float:
    spread = float((right - right.mean(0)).square().mean().sqrt())
    return float((values - right).square().mean().sqrt()) / max(spread, 1e-9)
