"""Quantised activations: MIL's `quantization_ops` of iOS 17."""

from __future__ import annotations

import torch
from torch import Tensor

from agecompact.runtimes.mil.kernels.axes import along
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


def _steps(p: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point, shaped for broadcasting to x."""
    axis = p.integer("axis", 0)
    scale, zero = p.tensor("scale"), p.optional("zero_point")
    zero = torch.zeros((), dtype=torch.long) if zero is None else zero
    return along(scale, axis, x.ndim), along(zero, axis, x.ndim)


@kernel("quantize")
def quantize(p: Parameters) -> Tensor:
    """`quantize`: clip(round(input / scale) + zero_point)."""
    x = p.tensor("input")
    scale, zero = _steps(p, x)
    low, high = _RANGES[p.text("output_dtype", tuple(_RANGES))]
    return (torch.round(x / scale) + zero).clamp(low, high).long()


@kernel("dequantize")
def dequantize(p: Parameters) -> Tensor:
    """`dequantize`: scale * (input - zero_point)."""
    x = p.tensor("input")
    scale, zero = _steps(p, x)
    return scale * (x - zero)
