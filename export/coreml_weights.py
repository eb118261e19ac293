"""Compresses the weights of a float16 Core ML program.

A weight stays as it is where compression gains nothing, and where it reads the network's input: all
later layers amplify its error. Where no face says what a layer costs, so do the next weights, a
small share of all. Each compressed weight is the nearest one on its grid, which parity
checks one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.full_share import kept
from export.palette import Array, palette_of

# What a compressed constant takes besides its numbers: the records of its blobs, the rest of their
# last 64 bytes, and its op.
_OVERHEAD_BYTES = 256
# Ops whose operand `weight` is a weight of the network.
_WEIGHTED = frozenset({"conv", "linear"})


def weights_of(model: Any) -> dict[str, Array]:
    """The weights that may be compressed, in the order of the program, by name of the constant.

    Args:
        model: An `MLModel` of a program.
    """
    import coremltools.optimize.coreml as cto

    first = _first_ops(model.get_spec())
    return {
        name: constant.val
        for name, constant in cto.get_weights_metadata(model, weight_threshold=0).items()
        if constant.val.ndim > 1
        and all(
            reader.op_type in _WEIGHTED and reader.name not in first
            for reader in constant.child_ops
        )
    }


def stored_bytes(weight: Array, bits: int) -> int:
    """Bytes of a weight as a palette."""
    return -(-weight.size * bits // 8) + (weight.itemsize << bits) + _OVERHEAD_BYTES


def palettized(model: Any, widths: Mapping[str, int]) -> Any:
    """The model with palettes.

    Args:
        model: An `MLModel` of a program.
        widths: Bits of an index, by name of the constant. Those that gain nothing are left out.
    """
    import coremltools.optimize.coreml as cto

    weights = weights_of(model)
    configs = {
        name: cto.OpPalettizerConfig(
            mode="custom",
            lut_function=lambda weight, bits=bits: palette_of(weight, bits),
            weight_threshold=0,
        )
        for name, bits in widths.items()
        if stored_bytes(weights[name], bits) < weights[name].nbytes
    }
    return cto.palettize_weights(model, cto.OptimizationConfig(op_name_configs=configs))


def palettized_alike(model: Any, bits: int) -> Any:
    """The model with palettes of one width."""
    return palettized(model, dict.fromkeys(_late(weights_of(model)), bits))


def quantised(model: Any) -> Any:
    """The model with linear symmetric int8 weights, a scale for each output channel."""
    import coremltools.optimize.coreml as cto

    config = cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
    configs = {
        name: config
        for name, weight in _late(weights_of(model)).items()
        # A scale and a zero point for each channel.
        if weight.size + len(weight) * (weight.itemsize + 1) + _OVERHEAD_BYTES < weight.nbytes
    }
    return cto.linear_quantize_weights(model, cto.OptimizationConfig(op_name_configs=configs))


def _late(weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights, in the order of the program, without the first ones up to a share of all."""
    first = kept([weight.size for weight in weights.values()])
    return dict(list(weights.items())[first:])


def _first_ops(specification: Any) -> frozenset[str]:
    """Names of the ops with weights that read an input through no other such op."""
    (function,) = specification.mlProgram.functions.values()
    behind: set[str] = set()
    first = set()
    for op in function.block_specializations[function.opset].operations:
        read = {binding.name for each in op.inputs.values() for binding in each.arguments}
        outputs = {output.name for output in op.outputs}
        if read & behind:
            behind |= outputs
        elif op.type in _WEIGHTED:
            behind |= outputs
            first |= outputs
    return frozenset(first)
