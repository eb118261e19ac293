"""Kernels by the type of op that they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.program import Op

Kernel = Callable[[Parameters], Tensor | tuple[Tensor, ...]]
_Kernel = TypeVar("_Kernel", bound=Kernel)

_KERNELS: dict[str, Kernel] = {}


def kernel(kind: str) -> Callable[[_Kernel], _Kernel]:
    """Registers a function as the kernel of a type of op.

    Raises:
        ValueError: The type already has a kernel.
    """

    def register(function: _Kernel) -> _Kernel:
        if kind in _KERNELS:
            raise ValueError(f"two kernels for {kind}")
        _KERNELS[kind] = function
        return function

    return register


def function_of(*names: str) -> Callable[[Callable[..., Tensor]], Kernel]:
    """Makes a kernel of a function that takes the tensors of the named parameters."""
    return lambda function: lambda p: function(*(p.tensor(name) for name in names))


def kernel_of(op: Op) -> Kernel:
    """The kernel of an op.

    Raises:
        UsageError: It has none.
    """
    if op.kind not in _KERNELS:
        raise UsageError(
            f"{op} cannot run",
            why=f"the reference runtime has no kernel for '{op.kind}'",
            fix="write one: see agecompact/runtimes/mil/README.md",
        )
    return _KERNELS[op.kind]
