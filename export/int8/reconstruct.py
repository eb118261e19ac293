"""Rounds the layers of a graph in their order, each with the errors of those before it in sight.

A float twin runs beside. Each convolution and dense layer is solved again, so that its inputs as
int8 holds them give what the float inputs gave (`rounding.resolved`), is rounded on its own grid
(`rounding.rounded`), and its bias takes the mean error. The range of its output is the one with the
least squared error.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from export.flatbuffer import pack
from export.int8 import twin
from export.int8.graph import Graph, Op
from export.int8.rounding import Floats, least_squares_range, on_grid, resolved, rounded, scales_of

if TYPE_CHECKING:
    from torch import Tensor

_LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
# Ops of LiteRT's int8 kernels whose output has the scale of their inputs.
_KEEPS_SCALE = frozenset({"MAX_POOL_2D", "PAD", "RESHAPE", "CONCATENATION"})
# Output ranges that LiteRT's int8 kernels demand.
_FIXED = {"TANH": (-1.0, 127 / 128), "LOGISTIC": (0.0, 255 / 256)}
# XNNPACK runs these on maps in int8. It runs others in float between two of them.
_ON_MAPS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "PAD", "CONCATENATION", "ADD", *_FIXED}
)
# A dense layer behind maps with this share of all weights is worth its error.
_LARGE_SHARE = 0.1
# A range of a tensor that is 0 for all faces: LiteRT aborts on steps that are too small.
_LEAST_WIDTH = 0.05

_RIDGE = 0.1
# With fewer samples than this many times the inputs, a layer is solved again with care.
_ENOUGH = 4
_FEW_RIDGE = 1.0
# Places of a map that are looked at, of each face, and values for the choice of a range.
_PLACES = 150
_VALUES = 200_000
_FACES_AT_A_TIME = 16

Range = tuple[float, float]


@dataclass(frozen=True)
class Reconstruction:
    """What was rounded.

    Attributes:
        ops: Indices of the ops that become int8.
        ranges: Of the tensors that become int8, by index.
        note: How much became int8, and what ended it, for people.
    """

    ops: tuple[int, ...]
    ranges: Mapping[int, Range]
    note: str


def body_of(graph: Graph) -> tuple[int, ...]:
    """The ops that become int8: those on maps, and large dense layers that read flattened maps.

    The rest of the head stays float: it costs little, and its errors reach the answer undiminished.
    """
    chosen = {
        op.index for op in graph.ops if op.kind in _ON_MAPS and len(graph.shape(op.output)) == 4
    }
    sizes = {op.index: _weights_of(graph, op) for op in graph.ops if op.kind in _LAYERS}
    for op in graph.ops:
        flattened = graph.producer(op.inputs[0]) if op.kind == "FULLY_CONNECTED" else None
        if flattened is None or flattened.kind != "RESHAPE":
            continue
        maps = graph.producer(flattened.inputs[0])
        if maps is None or maps.index not in chosen:
            continue
        if sizes[op.index] >= _LARGE_SHARE * sum(sizes.values()):
            chosen |= {flattened.index, op.index}
    return tuple(sorted(chosen))


def _weights_of(graph: Graph, op: Op) -> int:
    stored = graph.constant(op.inputs[1])
    return 0 if stored is None else stored.size


def reconstruct(graph: Graph, faces: Mapping[int, Tensor]) -> Reconstruction:
    """Rounds the layers of a graph's body, in place.

    Args:
        graph: A float graph; its rounded weights stay float, on their grids.
        faces: By input tensor, a batch of faces, NCHW.

    Returns:
        What became int8.
    """
    import torch

    original = Graph.parse(pack(graph.model))
    body = set(body_of(graph))
    ops = graph.ops[: max(body, default=-1) + 1]
    last = {tensor: op.index for op in ops for tensor in op.inputs}
    ranges: dict[int, Range] = {}
    stopped = ""
    exact, rough = dict(faces), dict(faces)
    random = np.random.default_rng(0)
    with torch.no_grad():
        for op in ops:
            seen = {t: rough[t] for t in op.inputs if t in rough}
            if op.index in body and not _agree(op, seen, ranges, random):
                body.remove(op.index)
            try:
                exact[op.output] = twin.run(original, op, exact)
                if op.index in body:
                    seen = {t: on_grid(values, *ranges[t]) for t, values in seen.items()}
                    if op.kind in _LAYERS:
                        _round_layer(graph, original, op, exact, seen, random)
                rough[op.output] = twin.run(graph, op, seen)
            except twin.UnknownOpError as unknown:
                body = {index for index in body if index < op.index}
                stopped = f"; {unknown} is unknown here, so it and what follows stay float"
                break
            if op.index in body:
                ranges[op.output] = _range_of(op, rough[op.output], ranges, random)
                rough[op.output] = on_grid(rough[op.output], *ranges[op.output])
            for tensor in [t for t in exact if last.get(t, -1) <= op.index]:
                del exact[tensor], rough[tensor]
    return Reconstruction(tuple(sorted(body)), ranges, _note(graph, body) + stopped)


def _note(graph: Graph, body: set[int]) -> str:
    layers = [op.index for op in graph.ops if op.kind in _LAYERS]
    return f"{len(body & set(layers))} of {len(layers)} layers are int8"


def _agree(
    op: Op, seen: Mapping[int, Tensor], ranges: dict[int, Range], random: np.random.Generator
) -> bool:
    """Gives ranges to the activations of an op that have none; whether they suit the op."""
    without = [t for t in seen if t not in ranges]
    if op.kind == "CONCATENATION":
        known = {ranges[t] for t in seen if t in ranges}
        ends = [_whole_range(seen[t]) for t in without]
        common = known or {(min(low for low, _ in ends), max(high for _, high in ends))}
        if len(common) > 1:
            return False
        ranges.update(dict.fromkeys(without, next(iter(common))))
        return True
    ranges.update({t: _best_range(seen[t], random) for t in without})
    return True


def _whole_range(values: Tensor) -> Range:
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return low, max(high, low + _LEAST_WIDTH)


def _range_of(
    op: Op, values: Tensor, ranges: Mapping[int, Range], random: np.random.Generator
) -> Range:
    if op.kind in _FIXED:
        return _FIXED[op.kind]
    if op.kind in _KEEPS_SCALE:
        return ranges[op.inputs[0]]
    return _best_range(values, random)


def _best_range(values: Tensor, random: np.random.Generator) -> Range:
    flat = values.reshape(-1).numpy()
    if flat.size > _VALUES:
        flat = flat[random.integers(flat.size, size=_VALUES)]
    low, high = least_squares_range(flat, *_whole_range(values))
    return low, max(high, low + _LEAST_WIDTH)


def _round_layer(
    graph: Graph,
    original: Graph,
    op: Op,
    exact: Mapping[int, Tensor],
    rough: Mapping[int, Tensor],
    random: np.random.Generator,
) -> None:
    source, weights = op.inputs[:2]
    stored = original.constant(weights)
    assert stored is not None
    bias_at = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    if op.kind == "DEPTHWISE_CONV_2D":
        # Each channel has its own few weights: rounding them leaves a mean error, no more.
        made = _nearest(stored.reshape(-1, stored.shape[-1]).T).T.reshape(stored.shape)
        graph.set_constant(weights, made.astype(np.float32))
        if bias_at is not None and _is_read_once(graph, bias_at):
            bare = [
                twin.run(g, _without_activation(op), v)
                for g, v in ((original, exact), (graph, rough))
            ]
            missing = (bare[0] - bare[1]).mean((0, 2, 3)).double().numpy()
            _shift(graph, original, bias_at, missing)
        return
    matrix = stored.reshape(len(stored), -1).astype(np.float64)
    places = _places(original, op, random)
    right = _columns(original, op, exact[source], places)
    seen = _columns(graph, op, rough[source], places)
    wanted = right @ matrix.T
    mean_seen, mean_wanted = seen.mean(0), wanted.mean(0)
    seen -= mean_seen
    ridge = _RIDGE if len(seen) >= _ENOUGH * seen.shape[1] else _FEW_RIDGE
    solved = resolved(matrix, seen, wanted - mean_wanted, ridge)
    covariance = seen.T @ seen / len(seen)
    if bias_at is None:
        # Without a bias, the mean of the inputs matters as well.
        covariance += np.outer(mean_seen, mean_seen)
    made = rounded(solved, covariance)
    graph.set_constant(weights, made.reshape(stored.shape).astype(np.float32))
    if bias_at is not None:
        _shift(graph, original, bias_at, mean_wanted - made @ mean_seen)


def _shift(graph: Graph, original: Graph, bias_at: int, by: Floats) -> None:
    bias = original.constant(bias_at)
    assert bias is not None
    graph.set_constant(bias_at, (bias + by).astype(np.float32))


def _nearest(rows: np.ndarray) -> Floats:
    exact = rows.astype(np.float64)
    scales = scales_of(exact)[:, np.newaxis]
    return np.round(exact / scales) * scales


def _is_read_once(graph: Graph, tensor: int) -> bool:
    return sum(1 for _ in graph.readers(tensor)) == 1


def _without_activation(op: Op) -> Op:
    options = copy.copy(op.options)
    options.fusedActivationFunction = 0
    return replace(op, options=options)


def _places(graph: Graph, op: Op, random: np.random.Generator) -> Sequence[int] | None:
    """The places of a convolution's output that are looked at; None for a dense layer."""
    if op.kind == "FULLY_CONNECTED":
        return None
    _, height, width, _ = graph.shape(op.output)
    count = height * width
    if count <= _PLACES:
        return range(count)
    return [int(i) for i in random.choice(count, _PLACES, replace=False)]


def _columns(graph: Graph, op: Op, values: Tensor, places: Sequence[int] | None) -> Floats:
    """What a layer reads for each place, in the order of its weights, `(samples, inputs)`."""
    import torch
    from torch.nn import functional

    if places is None:
        found: Floats = values.flatten(1).double().numpy()
        return found
    stored = graph.constant(op.inputs[1])
    assert stored is not None
    _, height, width, channels = stored.shape
    strides = (op.options.strideH, op.options.strideW)
    picked = []
    for start in range(0, len(values), _FACES_AT_A_TIME):
        maps = values[start : start + _FACES_AT_A_TIME]
        maps = twin.padded(op, maps, (height, width))
        patches = functional.unfold(maps, (height, width), stride=strides)[:, :, list(places)]
        # From CHW, as `unfold` orders them, to HWC, as TFLite stores weights.
        sided = patches.reshape(len(maps), channels, height * width, len(places))
        picked.append(sided.permute(0, 3, 2, 1).reshape(-1, height * width * channels))
    return torch.cat(picked).double().numpy()
