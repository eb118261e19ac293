"""Recognises a bias that a converter moved from a Linear into the next, which is not a fault.

The values between the two differ from PyTorch's by that bias. If the next Linear is faulty, they
must not be taken for the origin of its error.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity_tests.localisation.context import FaultContext, ReferenceOp
from parity_tests.localisation.opkinds import AFFINE
from parity_tests.localisation.recompute import Values, along


def with_moved_bias(first: FaultContext, then: FaultContext) -> FaultContext | None:
    """The context of an op, with the bias of the one that it reads moved into it.

    Args:
        first: The op that is read.
        then: The only op that reads it.

    Returns:
        None if no bias was moved: the first op lacks its bias exactly, and the second one has
        another bias than PyTorch's.
    """
    linear, following = _linear(first), _linear(then)
    if linear is None or following is None:
        return None
    bias, other = first.parameter(linear, "bias"), then.parameter(following, "bias")
    weight = then.parameter(following, "weight")
    if bias is None or other is None or weight is None or not bias.any():
        return None
    without = first.reference - along(bias, first.reference)
    if not first.explains(without) or _holds(first, bias) or _holds(then, other):
        return None
    (name,) = then.inputs
    return replace(
        then,
        inputs={name: without},
        state={**then.state, f"{following.scope}.bias": np.asarray(other + weight @ bias)},
        replay=None,
    )


def _linear(context: FaultContext) -> ReferenceOp | None:
    """The chain's only op, if that is a Linear with one input of as many axes."""
    weight, op = context.weight(), context.chain[-1]
    plain = len(context.chain) == 1 and op.kind == AFFINE and context.input is not None
    return op if plain and weight is not None and weight.ndim == 2 else None


def _holds(context: FaultContext, bias: Values) -> bool:
    """Whether the candidate's op has this constant."""
    limit = 8 * context.rounding_unit * float(np.abs(bias).max())
    held = [np.asarray(c, np.float64).ravel() for c in context.constants if c.size == bias.size]
    return any(bool((np.abs(each - bias) <= limit).all()) for each in held)
