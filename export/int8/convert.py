"""A float TFLite file in int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from agecompact.errors import ConversionError
from export.int8.equalise import equalise, equalise_entries
from export.int8.graph import Graph
from export.int8.plan import plan_of
from export.int8.reconstruct import reconstruct
from export.int8.sensitivity import costs, fragile
from export.int8.writer import written

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor


# Faces that show how wide a channel is, and what an op costs.
_FEW = 24
# Of the largest map, for all faces together: 0.8 GB, some of which are held at a time.
_VALUES = 200_000_000


def to_int8(
    content: bytes,
    faces: Mapping[str, npt.NDArray[Any]],
) -> tuple[bytes, str]:
    """Quantises a float32 file to int8, with float32 inputs and outputs.

    Args:
        content: The file.
        faces: Calibration faces by name of the input tensor, float32, `(faces, C, H, W)`.

    Returns:
        The int8 file, and how much of it is int8, for people.

    Raises:
        ConversionError: No layer can be int8.
    """
    import torch

    graph = Graph.parse(content)
    by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
    found = {by_name[name]: torch.from_numpy(values) for name, values in faces.items()}
    largest = max(int(np.prod(graph.shape(op.output))) for op in graph.ops)
    batch, few = (_spread(found, most) for most in (_VALUES // largest, _FEW))
    equalise(graph, few)
    plan = plan_of(graph)
    cost = costs(graph, few, plan)
    left = fragile(graph, cost)
    plan = equalise_entries(graph, few, plan.without(graph, left), sorted(left))
    made = reconstruct(graph, batch, plan)
    if not made.plan.body:
        raise ConversionError("no layer of this network can be int8", why=made.note)
    return written(graph, made), made.note + _left_note({index: cost[index] for index in left})


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
