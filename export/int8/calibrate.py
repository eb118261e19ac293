"""Finds out how a float TFLite file becomes int8, from faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Tensor as Batch
from agecompact.errors import ConversionError
from export.int8 import twin
from export.int8.calibration import Calibration, differences
from export.int8.equalise import equalise, equalise_entries
from export.int8.graph import Graph, moved
from export.int8.plan import plan_of
from export.int8.ranges import spans
from export.int8.reconstruct import reconstruct
from export.int8.sensitivity import costs, fragile
from export.int8.steps import UNTOLD, Step

if TYPE_CHECKING:
    from torch import Tensor


# Faces that show how wide a channel is, and what an op costs.
_FEW = 24
# Of the largest map, for all faces together: 0.8 GB, some of which are held at a time.
_VALUES = 200_000_000


def calibrate(
    content: bytes,
    faces: Mapping[str, Batch],
    step: Step = UNTOLD,
) -> Calibration:
    """Finds out how a float file becomes int8.

    Args:
        content: The file.
        faces: Calibration faces by name of the input tensor, float32, `(faces, C, H, W)`.
        step: Is told how many ops are done, and of how many.

    Raises:
        ConversionError: No layer can be int8.
    """
    original, graph = Graph.parse(content), Graph.parse(content)
    found = twin.bound(graph, faces)
    largest = max(int(np.prod(graph.shape(op.output))) for op in graph.ops)
    batch, few = (_spread(found, most) for most in (_VALUES // largest, _FEW))
    equalise(graph, few)
    plan = plan_of(graph)
    cost = costs(graph, few, plan)
    left = fragile(graph, cost)
    plan, factors = equalise_entries(graph, few, plan.without(graph, left), sorted(left))
    made = reconstruct(graph, batch, plan, step)
    if not made.plan.body:
        raise ConversionError("no layer of this network can be int8", why=made.note)
    note = made.note + _left_note({index: cost[index] for index in left})
    for each in factors:
        cost = {moved(index, each.place): share for index, share in cost.items()}
    constants = differences(original, graph)
    seen = spans(original, found)
    return Calibration(made.plan, made.ranges, constants, factors, note, cost, seen)


def _spread(faces: Mapping[int, Tensor], most: int) -> dict[int, Tensor]:
    """At most so many faces, evenly spread."""
    return {tensor: values[:: -(-len(values) // most)] for tensor, values in faces.items()}


def _left_note(left: Mapping[int, float]) -> str:
    if not left:
        return ""
    moved = ", ".join(f"{share:.1%}" for share in sorted(left.values(), reverse=True))
    return (
        f"; {len(left)} ops stay float: in int8 each moves the answers by {moved} of their spread"
    )
