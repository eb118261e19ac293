"""What the ops of a network cost in int8, for people."""

from __future__ import annotations

from agecompact.tables import Column, Table
from export.int8.calibration import applied
from export.int8.graph import Op
from export.int8.record import Record

# The costliest of a network's ops.
_MOST = 10


def costs_table(content: bytes, record: Record) -> Table:
    """The costliest ops, each tried in int8 alone, and what they compute in now.

    Args:
        content: The float file.
        record: Its calibration.
    """
    calibration, origin = record.calibration(content), record.origin
    graph = applied(content, calibration)
    ops = graph.ops

    def row(op: Op) -> tuple[str, ...]:
        share = calibration.costs[op.index]
        cost = "-" if origin.deviation is None else f"{share * origin.deviation:.3f}"
        kind = "int8" if op.index in calibration.plan.body else "float32"
        shape = "x".join(map(str, graph.shape(op.output)))
        return f"{op.index} {op.kind}", shape, cost, f"{share:.1%}", kind

    costliest = sorted(calibration.costs, key=lambda index: -calibration.costs[index])[:_MOST]
    columns = (
        Column("op", "name"),
        Column("output", "name", 1),
        Column(origin.unit or "cost", "number"),
        Column("of the spread", "number", 1),
        Column("computes in", "name"),
    )
    return Table(
        columns,
        tuple(row(ops[index]) for index in costliest),
        f"How far each op, in int8 alone, moves the answers; the costliest of {len(ops)}",
    )
