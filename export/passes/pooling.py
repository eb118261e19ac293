"""Pools in the forms that XNNPACK runs fastest, in float32 as in int8."""

from __future__ import annotations

import numpy as np

from export.int8.graph import Graph, Op

_SAME, _VALID = 0, 1


def average_pool_as_convolution(graph: Graph) -> None:
    """Makes depthwise convolutions with the constant kernel 1 / area of average pools, in place.

    It takes fewer instructions for them, and does not take int8 average pools at all. A pool that
    leaves padding out of its mean cannot be a convolution.
    """
    kernels: dict[tuple[int, int, int], tuple[int, int]] = {}
    for op in graph.ops:
        if op.kind != "AVERAGE_POOL_2D" or _is_padded(graph, op):
            continue
        if not graph.is_float(op.inputs[0]):
            continue
        pool, channels = op.options, graph.shape(op.inputs[0])[-1]
        key = (pool.filterHeight, pool.filterWidth, channels)
        if key not in kernels:
            height, width, _ = key
            mean = np.full((1, height, width, channels), 1 / (height * width), np.float32)
            name = f"mean_{height}x{width}x{channels}"
            zeros = np.zeros(channels, np.float32)
            kernels[key] = (
                graph.add_constant(name, mean),
                graph.add_constant(f"{name}_bias", zeros),
            )
        made = graph.schema.DepthwiseConv2DOptionsT()
        made.padding = _VALID
        made.strideH, made.strideW = pool.strideH, pool.strideW
        made.dilationHFactor = made.dilationWFactor = made.depthMultiplier = 1
        made.fusedActivationFunction = pool.fusedActivationFunction
        graph.replace_op(op.index, "DEPTHWISE_CONV_2D", (op.inputs[0], *kernels[key]), made)


def _is_padded(graph: Graph, op: Op) -> bool:
    """Whether a pool reads beyond the edge of its map."""
    if op.options.padding != _SAME:
        return False
    sides = zip(
        graph.shape(op.inputs[0])[1:3],
        graph.shape(op.output)[1:3],
        (op.options.filterHeight, op.options.filterWidth),
        (op.options.strideH, op.options.strideW),
        strict=True,
    )
    return any((made - 1) * stride + size > side for side, made, size, stride in sides)


def tanh_after_max_pool(graph: Graph) -> None:
    """Takes the tanh of the maximum, not the maximum of tanhs, in place: tanh is monotone.

    A pool of 2 x 2 leaves a quarter of the tanhs.
    """
    for op in graph.ops:
        if op.kind != "MAX_POOL_2D" or op.options.fusedActivationFunction:
            continue
        before = graph.producer(op.inputs[0])
        if before is None or before.kind != "TANH" or before.output in graph.outputs:
            continue
        if [reader.index for reader in graph.readers(before.output)] == [op.index]:
            graph.exchange(before.index, op.index)
