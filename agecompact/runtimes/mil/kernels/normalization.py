"""MIL's `normalization` ops: `(N, C, ...)`, statistics in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from agecompact.runtimes.mil.kernels.axes import CHANNELS, along
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel


def _per_channel(p: Parameters, name: str, x: Tensor, default: float) -> Tensor:
    value = p.optional(name)
    return torch.tensor(default) if value is None else along(value, CHANNELS, x.ndim)


@kernel("batch_norm")
def batch_norm(p: Parameters) -> Tensor:
    """`batch_norm`: gamma * (x - mean) / sqrt(variance + epsilon) + beta."""
    x = p.tensor("x")
    gamma, beta = _per_channel(p, "gamma", x, 1.0), _per_channel(p, "beta", x, 0.0)
    mean, variance = (along(p.tensor(name), CHANNELS, x.ndim) for name in ("mean", "variance"))
    return gamma * (x - mean) / torch.sqrt(variance + p.number("epsilon", 1e-5)) + beta


@kernel("instance_norm")
def instance_norm(p: Parameters) -> Tensor:
    """`instance_norm`: by the mean and variance of each channel of each sample."""
    x = p.tensor("x")
    gamma, beta = _per_channel(p, "gamma", x, 1.0), _per_channel(p, "beta", x, 0.0)
    return gamma * _standardised(x, list(range(2, x.ndim)), p.number("epsilon", 1e-5)) + beta


def _standardised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + epsilon)


@kernel("layer_norm")
def layer_norm(p: Parameters) -> Tensor:
    """`layer_norm`: over `axes`, by default all; gamma and beta have the shape of these axes."""
    x = p.tensor("x")
    axes = sorted(axis % x.ndim for axis in p.ints("axes", range(x.ndim)))
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    result = _standardised(x, axes, p.number("epsilon", 1e-5))
    gamma, beta = p.optional("gamma"), p.optional("beta")
    if gamma is not None:
        result = result * gamma.reshape(shape)
    return result if beta is None else result + beta.reshape(shape)


@kernel("l2_norm")
def l2_norm(p: Parameters) -> Tensor:
    """`l2_norm`: x / sqrt(sum of squares over the last three axes + epsilon)."""
    x = p.tensor("x")
    squares = x.square().sum([-3, -2, -1], keepdim=True)
    return x / torch.sqrt(squares + p.number("epsilon", 1e-6))


@kernel("local_response_norm")
def local_response_norm(p: Parameters) -> Tensor:
    """`local_response_norm`: x / (k + alpha / size * sum of squares of near channels) ^ beta."""
    x, size = p.tensor("x"), p.integer("size")
    before = size // 2
    # Channels are the third axis from the end: in coremltools' tests of rank 3, whose expected
    # values come from a Mac, they are the first axis.
    squares = x.square().movedim(-3, -1)
    padded = torch.nn.functional.pad(squares, (before, size - 1 - before))
    near = padded.unfold(-1, size, 1).sum(-1).movedim(-1, -3)
    base = p.number("k", 1.0) + p.number("alpha", 1e-4) / size * near
    return x / base ** p.number("beta", 0.75)
