"""The ranges of activations: 256 steps each, where they cost the least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from export.int8 import twin
from export.int8.graph import Graph, Op
from export.int8.rounding import Floats, least_squares_range

if TYPE_CHECKING:
    from torch import Tensor

Range = tuple[float, float]

# Ops of LiteRT's int8 kernels whose output has the scale of their inputs.
KEEPS_SCALE = frozenset({"MAX_POOL_2D", "PAD", "RESHAPE", "CONCATENATION"})
# Output ranges that LiteRT's int8 kernels demand.
FIXED: Mapping[str, Range] = {"TANH": (-1.0, 127 / 128), "LOGISTIC": (0.0, 255 / 256)}
# A range of a tensor that is 0 for all faces: LiteRT aborts on steps that are too small.
_LEAST_WIDTH = 0.05
# Values of a tensor that are looked at.
_VALUES = 100_000
# Faces at a time.
_FACES = 16


def spans(graph: Graph, faces: Mapping[int, Tensor]) -> dict[int, Range]:
    """The least and the greatest value of each activation, and 0, as far as the twin can run.

    Args:
        graph: A float graph.
        faces: By input tensor, a batch of faces, NCHW.
    """
    found: dict[int, Range] = {}
    count = len(next(iter(faces.values())))
    for start in range(0, count, _FACES):
        batch = {tensor: values[start : start + _FACES] for tensor, values in faces.items()}
        for tensor, values in (*batch.items(), *twin.walk(graph, batch)):
            low, high = _whole(values)
            least, most = found.get(tensor, (low, high))
            found[tensor] = min(least, low), max(most, high)
    return found


def input_ranges(
    graph: Graph,
    op: Op,
    seen: Mapping[int, Tensor],
    ranges: Mapping[int, Range],
    random: np.random.Generator,
) -> dict[int, Range] | None:
    """Ranges for the activations of an op that have none; None if the op cannot be int8.

    Args:
        graph: The graph.
        op: The op.
        seen: The activations that it reads.
        ranges: Ranges that are known.
        random: Picks the values that are looked at.
    """
    without = [tensor for tensor in seen if tensor not in ranges]
    if op.kind != "CONCATENATION":
        return {tensor: best_range(graph, tensor, seen[tensor], random) for tensor in without}
    # Its int8 kernel copies bytes, so all that it joins has one range.
    known = {ranges[tensor] for tensor in seen if tensor in ranges}
    ends = [_whole(seen[tensor]) for tensor in without]
    common = known or {(min(low for low, _ in ends), max(high for _, high in ends))}
    return dict.fromkeys(without, next(iter(common))) if len(common) == 1 else None


def output_range(
    graph: Graph,
    op: Op,
    values: Tensor,
    ranges: Mapping[int, Range],
    random: np.random.Generator,
) -> Range:
    """The range of what an int8 op writes.

    Args:
        graph: The graph.
        op: The op.
        values: What it writes.
        ranges: Of the tensors that it reads.
        random: Picks the values that are looked at.
    """
    if op.kind in FIXED:
        return FIXED[op.kind]
    if op.kind in KEEPS_SCALE:
        return ranges[op.inputs[0]]
    return best_range(graph, op.output, values, random)


def best_range(graph: Graph, tensor: int, values: Tensor, random: np.random.Generator) -> Range:
    """The range with the least squared error in what the readers of a tensor make of it."""
    flat = values.reshape(-1).numpy()
    if flat.size > _VALUES:
        flat = flat[random.integers(flat.size, size=_VALUES)]
    low, high = least_squares_range(flat, *_whole(values), _read_as(graph, tensor))
    return low, max(high, low + _LEAST_WIDTH)


def _whole(values: Tensor) -> Range:
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return low, max(high, low + _LEAST_WIDTH)


def _read_as(graph: Graph, tensor: int) -> Callable[[Floats], Floats]:
    kinds = {reader.kind for reader in graph.readers(tensor)}
    return _hard_swish if kinds == {"HARD_SWISH"} else _as_it_is


def _as_it_is(values: Floats) -> Floats:
    return values


def _hard_swish(values: Floats) -> Floats:
    """All below -3 becomes 0, so a range need not hold it."""
    made: Floats = values * np.clip(values + 3, 0, 6) / 6
    return made
