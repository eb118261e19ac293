"""Writes a calibrated graph in int8, with ai-edge-quantizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.flatbuffer import pack, pack_once
from export.int8.calibration import Calibration, applied
from export.int8.graph import Graph
from export.int8.slim import slim, strip


def to_int8(content: bytes, calibration: Calibration) -> bytes:
    """The int8 file: the planned ops in int8, the others, inputs and outputs in float32.

    Args:
        content: A float file.
        calibration: Its calibration. The rounded weights are on the grids that the quantiser
            chooses: one a row, its greatest weight 127 steps.
    """
    graph = applied(content, calibration)
    chosen = dict.fromkeys(calibration.plan.stored, weight_settings())
    chosen |= dict.fromkeys(calibration.plan.body, settings())
    return quantised(graph, chosen, _statistics(graph, calibration.ranges))


def quantised(
    graph: Graph, chosen: Mapping[int, Any], statistics: Mapping[str, Any] | None = None
) -> bytes:
    """A file with some ops quantised, without what no phone reads.

    Args:
        graph: A float graph.
        chosen: An `OpQuantizationConfig` for each of these ops, by index.
        statistics: Ranges of activations, as the quantiser's calibration gives them.
    """
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    maker = quantizer.Quantizer(bytearray(pack(graph.model)))
    for op in graph.ops:
        if op.index in chosen:
            maker.update_quantization_recipe(
                # An op is found by the names of its outputs, each with a semicolon.
                f"^{re.escape(graph.name(op.output))};$",
                qtyping.TFLOperationName(op.kind),
                chosen[op.index],
                AlgorithmName.MIN_MAX_UNIFORM_QUANT,
            )
    model = Graph.parse(bytes(maker.quantize(statistics).quantized_model)).model
    strip(model)
    slim(model)
    return pack_once(model)


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


def dynamic_settings() -> Any:
    """Weights in int8; what the op reads is rounded to int8 in every call."""
    from ai_edge_quantizer import qtyping

    return qtyping.OpQuantizationConfig(
        weight_tensor_config=_channelwise(), compute_precision=qtyping.ComputePrecision.INTEGER
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
