"""Diagnoses a convolution or Linear whose weights are not PyTorch's.

Converters change the layout of weights and fold batch norms into them. So the constants of a
candidate's op are rearranged in every way that fits the shape of PyTorch's weights. They count as
its weights only if, applied to the inputs that agree, they give the op's output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from parity_tests.localisation.context import (
    Diagnosis,
    FaultContext,
    ReferenceOp,
    channels_text,
)
from parity_tests.localisation.layouts import Shape, squeezed
from parity_tests.localisation.opkinds import AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    along,
    application,
    per_channel,
    scale_and_shift,
)

# A weight differs if it is off by more than this many roundings, and by more than this share of its
# channel's greatest weight: the scale of a batch norm is measured on outputs, not known better.
_ROUNDINGS = 4
_SCALE_KNOWN = 1e-5


def other_weights(context: FaultContext) -> Diagnosis | None:
    """The output comes from weights that are not PyTorch's; they are counted."""
    weight, op = context.weight(), context.last_of(AFFINE, NORM)
    if weight is None or op is None or not context.constants:
        return None
    right = _folded(context, op, weight)
    apply = _application(context, weight)
    if right is None or apply is None:
        return None
    held = _held(context, op, weight.shape, apply)
    if held is None:
        return None
    rows, other = right.reshape(len(right), -1), held.reshape(len(right), -1)
    greatest = np.abs(rows).max(1, keepdims=True)
    wrong = np.abs(other - rows)
    differ = wrong > max(_ROUNDINGS * context.rounding_unit, _SCALE_KNOWN) * greatest
    if not differ.any():
        return None
    count = f"{differ.sum():,} of {differ.size:,}, by up to {wrong.max():.4g}"
    which = channels_text(np.flatnonzero(differ.any(1)), len(rows))
    evidence = f"{count} where PyTorch's reach {greatest.max():.4g}: {which}"
    return Diagnosis("weights differ", evidence, op.scope)


def _folded(context: FaultContext, op: ReferenceOp, weight: Values) -> Values | None:
    """PyTorch's weights with a following batch norm folded in; None if that is unknown."""
    if op.kind == AFFINE:
        return weight
    sums = next(x.values for x in context.chain if x.kind == AFFINE)
    if sums.shape != op.values.shape or per_channel(sums).shape[1] < 2:
        return None
    scale, _ = scale_and_shift(sums, op.values)
    return weight * scale.reshape(-1, *([1] * (weight.ndim - 1)))


def _application(context: FaultContext, weight: Values) -> Callable[[Values], Values] | None:
    """Applies weights, without bias, to the inputs that agree; None if it is unknown how."""
    place = next(i for i, x in enumerate(context.chain) if x.kind == AFFINE)
    values = context.chain[place - 1].values if place else context.input
    if values is None or any(x.kind == NORM for x in context.chain[:place]):
        return None
    apply = application(values, weight, context.chain[place].values)
    return None if apply is None else lambda w: apply(values, w)


def _held(
    context: FaultContext, op: ReferenceOp, shape: Shape, apply: Callable[[Values], Values]
) -> Values | None:
    """The candidate's weights in PyTorch's layout: those that give its output."""
    constants = [np.asarray(constant, np.float64) for constant in context.constants]
    for constant in constants:
        for weights in _layouts(constant, shape):
            sums = apply(weights)
            for bias in (np.zeros(shape[0]), *(c for c in constants if c.size == shape[0])):
                made = sums + along(bias.ravel(), sums)
                if made.shape == op.values.shape and context.explains(context.activate(made)):
                    return weights
    return None


def _layouts(constant: Values, shape: Shape) -> Iterator[Values]:
    """A constant with its axes in every order that gives a shape, ignoring axes of length 1."""
    sides = squeezed(constant.shape)
    for order in permutations(range(len(sides))):
        if tuple(sides[axis] for axis in order) == squeezed(shape):
            yield np.ascontiguousarray(constant.reshape(sides).transpose(order).reshape(shape))
