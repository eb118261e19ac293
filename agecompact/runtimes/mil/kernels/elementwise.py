"""Element by element: arithmetic, comparison, logic, and the functions of one number.

Sources: MIL's `elementwise_binary`, `elementwise_unary` and `select`. Epsilons are added where MIL
says so, which is not where PyTorch has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.runtimes.mil.dtypes import BY_NAME
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel


def _real_div(x: Tensor, y: Tensor) -> Tensor:
    # Of integers the program declares an integer, and Core ML cuts the quotient towards zero.
    if not x.is_floating_point():
        return torch.div(x, y, rounding_mode="trunc")
    return x / y


def _floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def _pow(x: Tensor, y: Tensor) -> Tensor:
    if not x.is_floating_point():
        # torch refuses negative integer exponents, whose answer is cut to a whole number.
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
    # Both round halves to even.
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}


def _register_binary(kind: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @kernel(kind)
    def run(p: Parameters) -> Tensor:
        return function(p.tensor("x"), p.tensor("y"))


def _register_unary(kind: str, function: Callable[[Tensor], Tensor]) -> None:
    @kernel(kind)
    def run(p: Parameters) -> Tensor:
        return function(p.tensor("x"))


for _kind, _binary in _BINARY.items():
    _register_binary(_kind, _binary)
for _kind, _unary in _UNARY.items():
    _register_unary(_kind, _unary)


@kernel("exp2")
def exp2(p: Parameters) -> Tensor:
    """`exp2`: 2^x, of integers too."""
    x = p.tensor("x")
    return torch.exp2(x) if x.is_floating_point() else torch.exp2(x.double()).trunc().long()


@kernel("inverse")
def inverse(p: Parameters) -> Tensor:
    """`inverse`: 1 / (x + epsilon), epsilon 1e-4 unless told."""
    return 1.0 / (p.tensor("x") + p.number("epsilon", 1e-4))


@kernel("log")
def log(p: Parameters) -> Tensor:
    """Natural logarithm of x + epsilon, which is 1e-45 unless told: `log`."""
    return torch.log(p.tensor("x") + p.number("epsilon", 1e-45))


@kernel("rsqrt")
def rsqrt(p: Parameters) -> Tensor:
    """`rsqrt`: 1 / sqrt(x + epsilon), epsilon 1e-12 unless told."""
    return 1.0 / torch.sqrt(p.tensor("x") + p.number("epsilon", 1e-12))


@kernel("clip")
def clip(p: Parameters) -> Tensor:
    """`clip`: x kept between alpha and beta."""
    return torch.clamp(p.tensor("x"), p.number("alpha"), p.number("beta"))


@kernel("threshold")
def threshold(p: Parameters) -> Tensor:
    """`threshold`: max(x, alpha)."""
    return torch.maximum(p.tensor("x"), p.tensor("alpha"))


@kernel("cast")
def cast(p: Parameters) -> Tensor:
    """`cast`: to another type; floats are cut towards zero on the way to integers."""
    x = p.tensor("x")
    kind = BY_NAME[p.text("dtype", tuple(BY_NAME))].kind
    if kind == "float":
        return x.float()
    return x != 0 if kind == "bool" else x.long()


@kernel("select")
def select(p: Parameters) -> Tensor:
    """`select`: a where cond is true, else b."""
    cond = p.tensor("cond")
    return torch.where(
        cond if cond.dtype == torch.bool else cond != 0, p.tensor("a"), p.tensor("b")
    )
