"""Writes a calibrated graph in int8, with ai-edge-quantizer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from export.flatbuffer import pack, pack_once
from export.float16 import store_some_in_half
from export.int8.calibration import Calibration, applied
from export.int8.graph import Array, Graph
from export.int8.rounding import scales_of
from export.int8.slim import slim, strip


def to_int8(content: bytes, calibration: Calibration) -> bytes:
    """The int8 file: the planned ops in int8, the others, inputs and outputs in float32.

    Args:
        content: A float file.
        calibration: Its calibration. The rounded weights are on the grids that the quantiser
            chooses: one a row, its greatest weight 127 steps.
    """
    graph, plan = applied(content, calibration), calibration.plan
    stored = [op for op in graph.ops if op.index in plan.stored]
    # GPUs take dense layers with weights in half precision, and not with int8 weights. What reads
    # pixels, as some convolutions do, is hurt by half precision, and is as exact in int8.
    dense = [op for op in stored if op.kind == "FULLY_CONNECTED"]
    for op in dense:
        # A calibration file has the integers; the last bits of their products may differ.
        graph.set_constant(op.inputs[1], _on_grid(graph.constant(op.inputs[1])))
    chosen = {op.index: weight_settings() for op in stored if op not in dense}
    chosen |= dict.fromkeys(plan.body, settings())
    halved = [graph.name(op.inputs[1]) for op in dense]
    return quantised(graph, chosen, _statistics(graph, calibration.ranges), halved)


def quantised(
    graph: Graph,
    chosen: Mapping[int, Any],
    statistics: Mapping[str, Any] | None = None,
    halved: Collection[str] = (),
) -> bytes:
    """A file with some ops quantised, without what no phone reads.

    Args:
        graph: A float graph.
        chosen: An `OpQuantizationConfig` for each of these ops, by index.
        statistics: Ranges of activations, as the quantiser's calibration gives them.
        halved: Names of float constants to store in float16.
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
    made = Graph.parse(bytes(maker.quantize(statistics).quantized_model))
    model = made.model
    constants = dict.fromkeys(tensor for op in made.ops for tensor in op.inputs[1:])
    store_some_in_half(model, made.schema, [i for i in constants if made.name(i) in halved])
    strip(model)
    slim(model)
    return pack_once(model)


def _on_grid(weight: Array | None) -> Array:
    """The weights of a dense layer as products of integers and the scale of each output."""
    assert weight is not None
    rows = weight.astype(np.float64)
    steps = scales_of(rows)[:, np.newaxis].astype(np.float32)
    # Without -0, which integers have not.
    return (np.round(rows / steps).astype(np.float32) + np.float32(0)) * steps


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
