"""Rounds the weights of one layer for the inputs that it will see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from export.int8 import twin
from export.int8.graph import Array, Graph, Op
from export.int8.rounding import Floats, resolved, rounded, scales_of

if TYPE_CHECKING:
    from torch import Tensor

KINDS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})

_RIDGE = 0.1
# With fewer samples than this many times the inputs, a layer is solved again with care.
_ENOUGH = 4
_FEW_RIDGE = 1.0
# Of the rounding, so that inputs which hardly vary do not decide.
_DAMPING = 0.01
# Places of a map that are looked at, of each face: each channel of a depthwise convolution has few
# weights and samples of its own. Faces at a time.
_PLACES = 150
_OWN_PLACES = 16
_FACES = 16

_Values = Mapping[int, "Tensor"]


def row_axis(op: Op) -> int:
    """The axis of a layer's weights that has one scale for each of its entries."""
    return -1 if op.kind == "DEPTHWISE_CONV_2D" else 0


def multiplications(graph: Graph, op: Op) -> int:
    """Multiplications of a layer, for one face."""
    if op.kind not in KINDS:
        return 0
    stored = graph.constant(op.inputs[1])
    assert stored is not None
    each = stored.size // (stored.shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else stored.shape[0])
    return int(each * np.prod(graph.shape(op.output)))


def round_layer(
    graph: Graph,
    original: Graph,
    op: Op,
    exact: _Values,
    rough: _Values,
    random: np.random.Generator,
) -> None:
    """Solves a layer again for rough inputs, rounds its weights, and shifts its bias, in place.

    Args:
        graph: The graph whose constants change; they stay float, on their grids.
        original: The float graph, with the same tensors.
        op: The layer.
        exact: The activations that it reads in float.
        rough: The activations that it reads in the rounded graph.
        random: Picks the places of a map that are looked at.
    """
    weights = op.inputs[1]
    stored = original.constant(weights)
    assert stored is not None
    bias_at = op.inputs[2] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    if not graph.is_read_once(weights):
        # It must suit all its readers.
        graph.set_constant(weights, _nearest(op, stored))
        return
    own_bias = bias_at is not None and graph.is_read_once(bias_at)
    places = _places(original, op, random)
    right = _columns(original, op, exact[op.inputs[0]], places)
    seen = _columns(graph, op, rough[op.inputs[0]], places)
    solved = [
        _solved(*group, has_bias=own_bias)
        for group in zip(_matrices(op, stored), right, seen, strict=True)
    ]
    graph.set_constant(weights, _stored(op, [made for made, _ in solved], stored.shape))
    if bias_at is not None and own_bias:
        bias = original.constant(bias_at)
        assert bias is not None
        shift = np.concatenate([missing for _, missing in solved])
        graph.set_constant(bias_at, (bias + shift).astype(np.float32))


def _solved(
    matrix: Floats, right: Floats, seen: Floats, *, has_bias: bool
) -> tuple[Floats, Floats]:
    """Rounded weights `(outputs, inputs)`, and the mean error that the bias must make up for."""
    wanted = right @ matrix.T
    mean_seen, mean_wanted = seen.mean(0), wanted.mean(0)
    seen = seen - mean_seen
    ridge = _RIDGE if len(seen) >= _ENOUGH * seen.shape[1] else _FEW_RIDGE
    changed = resolved(matrix, seen, wanted - mean_wanted, ridge)
    covariance = seen.T @ seen / len(seen)
    if not has_bias:
        # Nothing makes up for an error in the mean.
        covariance += np.outer(mean_seen, mean_seen)
    made = rounded(changed, covariance, _DAMPING)
    return made, mean_wanted - made @ mean_seen


def _matrices(op: Op, stored: Array) -> Sequence[Floats]:
    """The weights as matrices `(outputs, inputs)`: one, or one for each channel of a map."""
    exact = stored.astype(np.float64)
    if op.kind == "DEPTHWISE_CONV_2D":
        return [column[np.newaxis] for column in exact.reshape(-1, stored.shape[-1]).T]
    return [exact.reshape(len(stored), -1)]


def _stored(op: Op, matrices: Sequence[Floats], shape: tuple[int, ...]) -> Array:
    made = np.concatenate(matrices)
    if op.kind == "DEPTHWISE_CONV_2D":
        made = made.T
    return made.reshape(shape).astype(np.float32)


def _nearest(op: Op, stored: Array) -> Array:
    """The weights of a layer, each rounded to the nearest step of its row's grid."""
    matrices = []
    for matrix in _matrices(op, stored):
        scales = scales_of(matrix)[:, np.newaxis]
        matrices.append(np.round(matrix / scales) * scales)
    return _stored(op, matrices, stored.shape)


def _places(graph: Graph, op: Op, random: np.random.Generator) -> Sequence[int] | None:
    """The places of a convolution's output that are looked at; None for a dense layer."""
    if op.kind == "FULLY_CONNECTED":
        return None
    _, height, width, _ = graph.shape(op.output)
    count = height * width
    wanted = _OWN_PLACES if op.kind == "DEPTHWISE_CONV_2D" else _PLACES
    if count <= wanted:
        return range(count)
    return [int(i) for i in random.choice(count, wanted, replace=False)]


def _columns(
    graph: Graph, op: Op, values: Tensor, places: Sequence[int] | None
) -> Sequence[Floats]:
    """What a layer reads at each place, in the order of its weights, `(samples, inputs)`.

    One array, or for a depthwise convolution one for each channel.
    """
    import torch
    from torch.nn import functional

    if places is None:
        return [values.flatten(1).double().numpy()]
    stored = graph.constant(op.inputs[1])
    assert stored is not None
    _, height, width, channels = stored.shape
    strides = (op.options.strideH, op.options.strideW)
    picked = []
    for start in range(0, len(values), _FACES):
        maps = twin.padded(op, values[start : start + _FACES], (height, width))
        patches = functional.unfold(maps, (height, width), stride=strides)[:, :, list(places)]
        sided = patches.reshape(len(maps), channels, height * width, len(places))
        picked.append(sided.permute(1, 0, 3, 2).flatten(1, 2))
    # Channels, samples, kernel.
    found = torch.cat(picked, 1)
    if op.kind == "DEPTHWISE_CONV_2D":
        return list(found.double().numpy())
    # TFLite stores weights as HWC.
    return [found.permute(1, 2, 0).flatten(1).double().numpy()]
