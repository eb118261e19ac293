"""Activation functions, as MIL's `activation` defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.runtimes.mil.kernels.axes import CHANNELS, along
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import function_of, kernel


def _softplus(x: Tensor) -> Tensor:
    # The form that does not overflow.
    return torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)


_PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu6": lambda x: x.clamp(0, 6),
    "sigmoid": torch.sigmoid,
    "silu": lambda x: x * torch.sigmoid(x),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + x.abs()),
}


for _kind, _function in _PLAIN.items():
    kernel(_kind)(function_of("x")(_function))


@kernel("clamped_relu")
def clamped_relu(p: Parameters) -> Tensor:
    """`clamped_relu`: `leaky_relu`, at most beta."""
    return leaky_relu(p).clamp(max=p.number("beta"))


@kernel("elu")
def elu(p: Parameters) -> Tensor:
    """`elu`: x if x > 0, else alpha * (e^x - 1)."""
    x = p.tensor("x")
    return torch.where(x > 0, x, p.number("alpha") * torch.expm1(x.clamp(max=0)))


@kernel("gelu")
def gelu(p: Parameters) -> Tensor:
    """`gelu`: exact, or by the tanh or the sigmoid approximation."""
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
    """`leaky_relu`: x if x >= 0, else alpha * x."""
    x = p.tensor("x")
    return torch.where(x >= 0, x, p.number("alpha") * x)


@kernel("linear_activation")
def linear_activation(p: Parameters) -> Tensor:
    """`linear_activation`: alpha * x + beta."""
    return p.tensor("x") * p.number("alpha") + p.number("beta")


@kernel("prelu")
def prelu(p: Parameters) -> Tensor:
    """`prelu`: x if x > 0, else alpha * x, with one alpha per channel; `(N, C, ...)`."""
    x = p.tensor("x")
    return torch.where(x > 0, x, along(p.tensor("alpha"), CHANNELS, x.ndim) * x)


@kernel("scaled_tanh")
def scaled_tanh(p: Parameters) -> Tensor:
    """`scaled_tanh`: alpha * tanh(beta * x)."""
    return p.number("alpha") * torch.tanh(p.number("beta") * p.tensor("x"))


@kernel("sigmoid_hard")
def sigmoid_hard(p: Parameters) -> Tensor:
    """`sigmoid_hard`: alpha * x + beta, clamped to 0 to 1."""
    return (p.number("alpha") * p.tensor("x") + p.number("beta")).clamp(0, 1)


@kernel("softplus_parametric")
def softplus_parametric(p: Parameters) -> Tensor:
    """`softplus_parametric`: alpha * log(1 + e^(beta * x)), both per channel; `(N, C, ...)`."""
    x = p.tensor("x")
    alpha, beta = (along(p.tensor(name), CHANNELS, x.ndim) for name in ("alpha", "beta"))
    return alpha * _softplus(x * beta)


@kernel("softmax")
def softmax(p: Parameters) -> Tensor:
    """`softmax` along an axis; exponentials and their sum are float32 for every stored type."""
    return torch.softmax(p.tensor("x"), p.integer("axis", -1))


@kernel("thresholded_relu")
def thresholded_relu(p: Parameters) -> Tensor:
    """`thresholded_relu`: x if x >= alpha, else 0."""
    x = p.tensor("x")
    return torch.where(x >= p.number("alpha"), x, 0.0)
