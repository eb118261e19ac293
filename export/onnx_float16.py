"""Float16 storage for ONNX: half the bytes, with the arithmetic and the kernels of float32.

As in TFLite files (`export.float16`), the layers that read the input stay float32, and the next
ones up to 2 % of the weights. Every other weight becomes a float16 constant and a Cast, which
ONNX Runtime computes once, when it loads the file. Its CPU kernels have no float16 arithmetic: a
graph in float16 would cast every activation to float32 and back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from export.full_share import kept

if TYPE_CHECKING:
    import onnx

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SUFFIX = "_float16"


def store_half(model: onnx.ModelProto) -> None:
    """Stores the weights of a float32 model in float16, in place."""
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    halved = set(_halved(graph))
    restoring = []
    for tensor in graph.initializer:
        if tensor.name in halved:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, name + _SUFFIX))
            restoring.append(
                onnx.helper.make_node(
                    "Cast", [name + _SUFFIX], [name], name=f"{name}/Cast", to=onnx.TensorProto.FLOAT
                )
            )
    nodes = [*restoring, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _halved(graph: onnx.GraphProto) -> list[str]:
    """Weights to store in float16: all after the first level, and after the share that stays."""
    levels = _weights_by_depth(graph)
    sizes = [sum(level.values()) for level in levels]
    return [name for level in levels[max(1, kept(sizes)) :] for name in level]


def _weights_by_depth(graph: onnx.GraphProto) -> list[dict[str, int]]:
    """Number of values of each weight, by the number of layers with weights before it."""
    import onnx

    sizes = {
        tensor.name: math.prod(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    }
    depths: dict[str, int] = {}
    levels: list[dict[str, int]] = []
    seen: set[str] = set()
    for node in graph.node:  # ONNX requires execution order.
        depth = max((depths.get(name, 0) for name in node.input), default=0)
        weights = [name for name in node.input if name in sizes and node.op_type in _WEIGHTED]
        if weights:
            levels += [{} for _ in range(depth + 1 - len(levels))]
            levels[depth] |= {name: sizes[name] for name in weights if name not in seen}
            seen.update(weights)
        depths |= dict.fromkeys(node.output, depth + bool(weights))
    return levels
