"""TFLite files whose weights alone are stored in int8, made without faces, by ai-edge-quantizer.

XNNPACK either turns the weights back into float32 as it loads them, and computes in float32, or
rounds what each layer reads to int8 too, on a grid that it chooses anew for every call.

As in float16 files, the layers that read the input stay float32, as do the next layers up to a
share of the weights: most of the error would originate there. So do small weights, whose scales
take as many bytes as are saved.
"""

from __future__ import annotations

from typing import Any

from export.float16 import late_weights
from export.int8.graph import Graph, Op
from export.int8.layers import KINDS
from export.int8.writer import dynamic_settings, quantised, weight_settings

# XNNPACK has no kernel for depthwise convolutions that round what they read.
_ROUNDING = frozenset({"CONV_2D", "FULLY_CONNECTED"})
_FEWEST = 256


def dynamic_range(content: bytes) -> bytes:
    """A float32 file with int8 weights, whose layers round what they read to int8."""
    return _written(content, _ROUNDING, dynamic_settings())


def weights_only(content: bytes) -> bytes:
    """A float32 file with int8 weights, which computes in float32."""
    return _written(content, KINDS, weight_settings())


def _written(content: bytes, kinds: frozenset[str], settings: Any) -> bytes:
    graph = Graph.parse(content)
    late = frozenset(late_weights(graph.model, graph.schema))
    layers = [op.index for op in graph.ops if op.kind in kinds and _is_worth_it(graph, op, late)]
    return quantised(graph, dict.fromkeys(layers, settings))


def _is_worth_it(graph: Graph, op: Op, late: frozenset[int]) -> bool:
    weight = graph.constant(op.inputs[1])
    return weight is not None and weight.size >= _FEWEST and op.inputs[1] in late
