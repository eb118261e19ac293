"""A calibration with fewer ops in int8: those whose rounding costs most compute in float32.

What costs is the rounding of a map, not an op: in float32 between two int8 ops, an op reads and
writes the same 256 steps as before, and no answer changes. So a map is chosen, and all ops that
write or read it leave int8 together.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from itertools import chain

import numpy as np

from export.int8.calibration import Calibration, applied
from export.int8.graph import Graph, Op
from export.int8.layers import KINDS, multiplications
from export.int8.plan import Plan, neighbours, note_of
from export.int8.ranges import KEEPS_SCALE
from export.int8.record import Record, of

# Shares of the multiplications that are worth trying. On 2,000 faces of UTKFace, SSR-Net's 99th
# percentile of 0.70 years became 0.66, 0.42 and 0.40 for 5 %, 25 % and 41 % more instructions on a
# Cortex-A76, and C3AE-plain's 0.63 became 0.62, 0.50 and 0.50 for 3 %, 17 % and 17 %: its next map
# needs more than a quarter. A half gave 0.32 and 0.50, for 51 % and 74 %. The first share mostly
# lowers the mean error, by an eighth.
SHARES = (1 / 16, 1 / 8, 1 / 4)
# A map whose part of the squared error is smaller is not worth a conversion.
_LEAST = 0.01
_ROUNDS = 2000
_TINY = 1e-30


def with_float(content: bytes, record: Record, share: float) -> Record:
    """A calibration with some of its ops in float32, which need no faces to be found.

    Layers keep their rounded weights, as int8, because their biases were shifted for them. Ranges
    stay what they are; those of maps that no int8 op touches any more are dropped.

    Args:
        content: The float file that the record is of.
        record: A calibration.
        share: Of all multiplications, the most that leave int8.

    Raises:
        UsageError: The record is of another graph, or its tensors do not fit.
    """
    calibration = record.calibration(content)
    graph = applied(content, calibration)
    left = chosen(graph, calibration, share)
    if not left:
        return record
    plan = _without(graph, calibration.plan, left)
    touched = {t for op in graph.ops if op.index in plan.body for t in (*op.inputs, op.output)}
    tail = calibration.note.removeprefix(note_of(graph, calibration.plan))
    made = replace(
        calibration,
        plan=plan,
        ranges={t: ends for t, ends in calibration.ranges.items() if t in touched},
        note=f"{note_of(graph, plan)}{tail}; {len(left)} ops that could be int8 compute in float32",
    )
    return of(content, made, record.origin)


def chosen(graph: Graph, calibration: Calibration, share: float) -> frozenset[int]:
    """The ops that leave int8: those around the costliest maps, as far as they multiply little.

    Args:
        graph: The calibrated graph.
        calibration: Its calibration.
        share: Of all multiplications, the most that leave int8.

    Returns:
        Indices; none if the calibration knows no costs.
    """
    ops = graph.ops
    work = {op.index: multiplications(graph, op) for op in ops}
    budget = share * sum(work.values())
    maps = _maps(graph, calibration.plan)
    cost = _cost_of_maps(ops, maps, calibration.costs)
    users: dict[int, set[int]] = {each: set() for each in cost}
    for op in ops:
        if op.index in calibration.plan.body:
            for each in _touched(op, maps) & users.keys():
                users[each].add(op.index)
    least = _LEAST * sum(cost.values())
    left: set[int] = set()
    for each in sorted(cost, key=lambda each: -cost[each]):
        added = users[each] - left
        needed = sum(work[index] for index in added)
        if cost[each] > least and needed <= budget:
            budget -= needed
            left |= added
    body = calibration.plan.body - left
    # Between two conversions, an op that multiplies nothing is not worth them.
    idle = {i for i in body if not work[i] and not neighbours(graph, ops[i]) & body}
    return frozenset(left | idle if left else ())


def _without(graph: Graph, plan: Plan, left: Set[int]) -> Plan:
    """The plan with some ops in float32; their layers keep int8 weights that are theirs alone."""
    own = {
        op.index
        for op in graph.ops
        if op.index in left and op.kind in KINDS
        if {reader.index for reader in graph.readers(op.inputs[1])} <= left | plan.stored
    }
    return Plan(plan.body - left, plan.stored | own)


def _maps(graph: Graph, plan: Plan) -> dict[int, int]:
    """The activations that int8 ops touch, each with the first of those that are rounded with it.

    Ops that keep the scale copy numbers: what they write is rounded already.
    """
    found: dict[int, int] = {}
    for op in graph.ops:
        if op.index not in plan.body:
            continue
        read = [t for t in op.inputs if t >= 0 and graph.constant(t) is None]
        for tensor in (*read, op.output):
            found.setdefault(tensor, tensor)
        if op.kind in KEEPS_SCALE:
            joined = {found[tensor] for tensor in (*read, op.output)}
            first = min(joined)
            found.update({t: first for t, each in found.items() if each in joined})
    return found


def _touched(op: Op, maps: Mapping[int, int]) -> set[int]:
    return {maps[tensor] for tensor in (*op.inputs, op.output) if tensor in maps}


def _cost_of_maps(
    ops: tuple[Op, ...], maps: Mapping[int, int], costs: Mapping[int, float]
) -> dict[int, float]:
    """The squared error that each map's rounding costs, so that the costs of ops add up.

    An op in int8 rounds what it reads and what it writes. Non-negative least squares, by the
    multiplicative updates of Lee and Seung ("Algorithms for Non-negative Matrix Factorization",
    2001).
    """
    touched = [_touched(ops[index], maps) for index in costs]
    columns = sorted(set(chain.from_iterable(touched)))
    design = np.array([[each in row for each in columns] for row in touched], np.float64)
    squares = np.square(np.array(list(costs.values()), np.float64))
    if not columns or not squares.any():
        return {}
    found = np.full(len(columns), squares.mean())
    wanted = design.T @ squares
    for _ in range(_ROUNDS):
        found *= wanted / np.maximum(design.T @ (design @ found), _TINY)
    return dict(zip(columns, found.tolist(), strict=True))
