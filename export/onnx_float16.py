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

from export.full_share import Op, late

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
    import onnx

    sizes = {
        tensor.name: math.prod(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    }
    ops = []
    for node in graph.node:  # ONNX requires execution order.
        weights = [name for name in node.input if name in sizes and node.op_type in _WEIGHTED]
        ops.append(Op(node.input, node.output, weights, bool(weights)))
    return late(ops, sizes.__getitem__)
