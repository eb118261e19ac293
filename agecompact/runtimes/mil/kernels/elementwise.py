"""Elementwise arithmetic, comparison, logic and functions.

Sources: MIL's `elementwise_binary`, `elementwise_unary` and `select`. Epsilons are added where MIL
adds them, which is not where PyTorch does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import function_of, kernel
from agecompact.runtimes.mil.tensor_types import BY_NAME


def _real_div(x: Tensor, y: Tensor) -> Tensor:
    # The quotient of integers is declared an integer, and Core ML truncates it towards zero.
    if not x.is_floating_point():
        return torch.div(x, y, rounding_mode="trunc")
    return x / y


def _floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def _pow(x: Tensor, y: Tensor) -> Tensor:
    if not x.is_floating_point():
        # torch rejects negative integer exponents; their result is truncated to an integer.
        return torch.pow(x.double(), y.double()).trunc().long()
    return torch.pow(x, y)


_BINARY: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "real_div": _real_div,
    "floor_div": _floor_div,
    "mod": torch.remainder,
    "pow": _pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}

_UNARY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    # MIL and torch both round halves to even.
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}


for _kind, _binary in _BINARY.items():
    kernel(_kind)(function_of("x", "y")(_binary))
for _kind, _unary in _UNARY.items():
    kernel(_kind)(function_of("x")(_unary))
kernel("threshold")(function_of("x", "alpha")(torch.maximum))


@kernel("exp2")
def exp2(p: Parameters) -> Tensor:
    """`exp2`: 2^x, also for integers."""
    x = p.tensor("x")
    return torch.exp2(x) if x.is_floating_point() else torch.exp2(x.double()).trunc().long()


@kernel("inverse")
def inverse(p: Parameters) -> Tensor:
    """`inverse`: 1 / (x + epsilon), epsilon 1e-4 by default."""
    return 1.0 / (p.tensor("x") + p.number("epsilon", 1e-4))


@kernel("log")
def log(p: Parameters) -> Tensor:
    """`log`: natural logarithm of x + epsilon, epsilon 1e-45 by default."""
    return torch.log(p.tensor("x") + p.number("epsilon", 1e-45))


@kernel("rsqrt")
def rsqrt(p: Parameters) -> Tensor:
    """`rsqrt`: 1 / sqrt(x + epsilon), epsilon 1e-12 by default."""
    return 1.0 / torch.sqrt(p.tensor("x") + p.number("epsilon", 1e-12))


@kernel("clip")
def clip(p: Parameters) -> Tensor:
    """`clip`: x clamped to alpha to beta."""
    return torch.clamp(p.tensor("x"), p.number("alpha"), p.number("beta"))


@kernel("cast")
def cast(p: Parameters) -> Tensor:
    """`cast`: to another type; floats are truncated towards zero to give integers."""
    x = p.tensor("x")
    kind = BY_NAME[p.text("dtype", tuple(BY_NAME))].kind
    if kind == "float":
        return x.float()
    return x != 0 if kind == "bool" else x.long()


@kernel("select")
def select(p: Parameters) -> Tensor:
    """`select`: a if cond is true, else b."""
    return torch.where(p.tensor("cond") != 0, p.tensor("a"), p.tensor("b"))
