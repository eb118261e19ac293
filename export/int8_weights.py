"""TFLite files whose weights alone are stored in int8, made without faces, by ai-edge-quantizer.

XNNPACK either turns the weights back into float32 as it loads them, and computes in float32, or
rounds what each layer reads to int8 too, on a grid that it chooses anew for every call.

As in float16 files, the layers that read the input stay float32, as do the next layers up to a
share of the weights: most of the error would originate there. So do small weights, whose scales
take as many bytes as are saved.
"""

from __future__ import annotations

import re
from typing import Any

from export.flatbuffer import pack, pack_once
from export.float16 import late_weights
from export.int8.graph import Graph, Op
from export.int8.slim import slim, strip

# XNNPACK has no kernel for depthwise convolutions that round what they read.
_ROUNDING = frozenset({"CONV_2D", "FULLY_CONNECTED"})
_WEIGHTED = _ROUNDING | {"DEPTHWISE_CONV_2D"}
_FEWEST = 256


def dynamic_range(content: bytes) -> bytes:
    """A float32 file with int8 weights, whose layers round what they read to int8."""
    from ai_edge_quantizer.qtyping import ComputePrecision

    return _written(content, _ROUNDING, compute_precision=ComputePrecision.INTEGER)


def weights_only(content: bytes) -> bytes:
    """A float32 file with int8 weights, which computes in float32."""
    return _written(content, _WEIGHTED, explicit_dequantize=True)


def _written(content: bytes, kinds: frozenset[str], **form: Any) -> bytes:
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    graph = Graph.parse(content)
    settings = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
        ),
        **form,
    )
    late = frozenset(late_weights(graph.model, graph.schema))
    maker = quantizer.Quantizer(bytearray(pack(graph.model)))
    for op in graph.ops:
        if op.kind in kinds and _is_worth_it(graph, op, late):
            # An op is found by the names of its outputs, each with a semicolon.
            maker.update_quantization_recipe(
                f"^{re.escape(graph.name(op.output))};$",
                qtyping.TFLOperationName(op.kind),
                settings,
                AlgorithmName.MIN_MAX_UNIFORM_QUANT,
            )
    made = Graph.parse(bytes(maker.quantize().quantized_model)).model
    strip(made)
    slim(made)
    return pack_once(made)


def _is_worth_it(graph: Graph, op: Op, late: frozenset[int]) -> bool:
    weight = graph.constant(op.inputs[1])
    return weight is not None and weight.size >= _FEWEST and op.inputs[1] in late
