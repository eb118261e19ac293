"""Writes a reconstructed graph in int8, with ai-edge-quantizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.flatbuffer import pack
from export.int8.graph import Graph, Op
from export.int8.plan import Plan
from export.int8.reconstruct import Reconstruction


def written(graph: Graph, made: Reconstruction) -> bytes:
    """The int8 file: the given ops in int8, the others, inputs and outputs in float32.

    Args:
        graph: The graph, whose weights are on the grids that the quantiser chooses: one a row, its
            greatest weight 127 steps.
        made: Ops and ranges.
    """
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    maker = quantizer.Quantizer(bytearray(pack(graph.model)))
    ops = graph.ops
    for op in ops:
        chosen = _settings_of(op, made.plan)
        if chosen is not None:
            maker.update_quantization_recipe(
                # An op is found by the names of its outputs, each with a semicolon.
                f"^{re.escape(graph.name(op.output))};$",
                qtyping.TFLOperationName(op.kind),
                chosen,
                AlgorithmName.MIN_MAX_UNIFORM_QUANT,
            )
    return bytes(maker.quantize(_statistics(graph, made.ranges)).quantized_model)


def _settings_of(op: Op, plan: Plan) -> Any | None:
    if op.index in plan.body:
        return settings()
    return weight_settings() if op.index in plan.stored else None


def settings() -> Any:
    """Static int8: activations with a zero point, weights symmetric with a scale each channel."""
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False),
        weight_tensor_config=_channelwise(),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )


def weight_settings() -> Any:
    """Weights in int8 that an op of their own makes float32 again as the file loads."""
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        weight_tensor_config=_channelwise(),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )


def _channelwise() -> Any:
    from ai_edge_quantizer import qtyping

    return qtyping.TensorQuantizationConfig(
        num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
    )


def _statistics(graph: Graph, ranges: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    """Ranges as the quantiser's calibration gives them, by tensor name."""
    found = {}
    for tensor, (low, high) in ranges.items():
        ends = {"min": low, "max": high}
        shape = (1,) * len(graph.shape(tensor))
        found[graph.name(tensor)] = {k: np.full(shape, v, np.float32) for k, v in ends.items()}
    return found
