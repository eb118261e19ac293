"""Kernels by the op that they run."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.program import Op

Kernel = Callable[[Parameters], Tensor | tuple[Tensor, ...]]

_KERNELS: dict[str, Kernel] = {}


def kernel(*kinds: str) -> Callable[[Kernel], Kernel]:
    """Registers a function as the kernel of the ops of these types.

    Raises:
        ValueError: A type has a kernel already.
    """

    def register(function: Kernel) -> Kernel:
        for kind in kinds:
            if kind in _KERNELS:
                raise ValueError(f"two kernels for {kind}")
            _KERNELS[kind] = function
        return function

    return register


def kernel_of(op: Op) -> Kernel:
    """The kernel of an op.

    Raises:
        UsageError: There is none.
    """
    if op.kind not in _KERNELS:
        raise UsageError(
            f"{op} cannot run",
            why=f"the reference runtime has no kernel for '{op.kind}'",
            fix="write one in agecompact/runtimes/mil/kernels, from MIL's documentation of the op",
        )
    return _KERNELS[op.kind]


def known_kinds() -> frozenset[str]:
    """Types of the ops that have a kernel."""
    return frozenset(_KERNELS)
