"""Activation functions, as MIL's `activation` defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu6": lambda x: x.clamp(0, 6),
    "sigmoid": torch.sigmoid,
    "silu": lambda x: x * torch.sigmoid(x),
    # The form that does not overflow.
    "softplus": lambda x: torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0),
    "softsign": lambda x: x / (1 + x.abs()),
}


def _register_plain(kind: str, function: Callable[[Tensor], Tensor]) -> None:
    @kernel(kind)
    def run(p: Parameters) -> Tensor:
        return function(p.tensor("x"))


for _kind, _plain in _PLAIN.items():
    _register_plain(_kind, _plain)


@kernel("clamped_relu")
def clamped_relu(p: Parameters) -> Tensor:
    """`clamped_relu`: min(beta, x) from 0 on, min(beta, alpha * x) below."""
    x = p.tensor("x")
    sloped = torch.where(x >= 0, x, p.number("alpha") * x)
    return sloped.clamp(max=p.number("beta"))


@kernel("elu")
def elu(p: Parameters) -> Tensor:
    """`elu`: x above 0, alpha * (e^x - 1) below."""
    x = p.tensor("x")
    return torch.where(x > 0, x, p.number("alpha") * torch.expm1(x.clamp(max=0)))


@kernel("gelu")
def gelu(p: Parameters) -> Tensor:
    """`gelu`: exact, or by the tanh or the sigmoid formula."""
    x = p.tensor("x")
    modes = ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    mode = p.text("mode", modes, "EXACT")
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


@kernel("leaky_relu")
def leaky_relu(p: Parameters) -> Tensor:
    """`leaky_relu`: x from 0 on, alpha * x below."""
    x = p.tensor("x")
    return torch.where(x >= 0, x, p.number("alpha") * x)


@kernel("linear_activation")
def linear_activation(p: Parameters) -> Tensor:
    """`linear_activation`: alpha * x + beta."""
    return p.tensor("x") * p.number("alpha") + p.number("beta")


def _per_channel(value: Tensor, x: Tensor) -> Tensor:
    return value.reshape([-1 if axis == 1 else 1 for axis in range(x.ndim)])


@kernel("prelu")
def prelu(p: Parameters) -> Tensor:
    """`prelu`: x above 0, alpha of its channel times x below; `(N, C, ...)`."""
    x = p.tensor("x")
    return torch.where(x > 0, x, _per_channel(p.tensor("alpha"), x) * x)


@kernel("scaled_tanh")
def scaled_tanh(p: Parameters) -> Tensor:
    """`scaled_tanh`: alpha * tanh(beta * x)."""
    return p.number("alpha") * torch.tanh(p.number("beta") * p.tensor("x"))


@kernel("sigmoid_hard")
def sigmoid_hard(p: Parameters) -> Tensor:
    """`sigmoid_hard`: alpha * x + beta, kept between 0 and 1."""
    return (p.number("alpha") * p.tensor("x") + p.number("beta")).clamp(0, 1)


@kernel("softplus_parametric")
def softplus_parametric(p: Parameters) -> Tensor:
    """`softplus_parametric`: alpha * log(1 + e^(beta * x)), both of the channel; `(N, C, ...)`."""
    x = p.tensor("x")
    scaled = x * _per_channel(p.tensor("beta"), x)
    plus = torch.log1p(torch.exp(-scaled.abs())) + scaled.clamp(min=0)
    return _per_channel(p.tensor("alpha"), x) * plus


@kernel("softmax")
def softmax(p: Parameters) -> Tensor:
    """`softmax` along an axis; exponents and their sum are float32 whatever the stored type."""
    return torch.softmax(p.tensor("x"), p.integer("axis", -1))


@kernel("thresholded_relu")
def thresholded_relu(p: Parameters) -> Tensor:
    """`thresholded_relu`: x from alpha on, else 0."""
    x = p.tensor("x")
    return torch.where(x >= p.number("alpha"), x, 0.0)
