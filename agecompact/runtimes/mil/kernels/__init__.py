"""Kernels of the ops, a module a family; importing this package registers them all.

Each follows MIL's documentation of its op, the docstrings in `coremltools.converters.mil`, and not
the PyTorch op of the same name. Tensors are float32, int64 or bool.
"""

from __future__ import annotations

from agecompact.runtimes.mil.kernels import (
    activation,
    conv,
    elementwise,
    gather,
    linear,
    normalization,
    pool,
    quantization,
    reduce,
    resize,
    shape,
    space,
    tensor,
)

__all__ = [
    "activation",
    "conv",
    "elementwise",
    "gather",
    "linear",
    "normalization",
    "pool",
    "quantization",
    "reduce",
    "resize",
    "shape",
    "space",
    "tensor",
]
