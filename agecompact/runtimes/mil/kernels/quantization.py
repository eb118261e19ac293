"""Quantised activations, as MIL's `quantization_ops` of iOS 17 say."""

from __future__ import annotations

import torch
from torch import Tensor

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


def _along(value: Tensor, x: Tensor, axis: int) -> Tensor:
    if value.ndim == 0:
        return value
    return value.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


@kernel("quantize")
def quantize(p: Parameters) -> Tensor:
    """`quantize`: clip(round(input / scale) + zero_point)."""
    x, scale, zero = p.tensor("input"), p.tensor("scale"), p.optional("zero_point")
    axis = p.integer("axis", 0)
    low, high = _RANGES[p.text("output_dtype", tuple(_RANGES))]
    steps = torch.round(x / _along(scale, x, axis))
    if zero is not None:
        steps = steps + _along(zero, x, axis)
    return steps.clamp(low, high).long()


@kernel("dequantize")
def dequantize(p: Parameters) -> Tensor:
    """`dequantize`: scale * (input - zero_point)."""
    x, scale, zero = p.tensor("input"), p.tensor("scale"), p.optional("zero_point")
    axis = p.integer("axis", 0)
    shifted = x if zero is None else x - _along(zero, x, axis)
    return _along(scale, x, axis) * shifted
