"""Diagnoses a convolution or Linear whose weights or bias are not PyTorch's.

Converters change the layout of weights and fold batch norms into them. So the constants of a
candidate's op are rearranged in every way that fits the shape of PyTorch's weights. They count as
its weights only if, applied to the inputs that agree, they give the op's output. Then the op itself
is right, and its constants are compared with PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from parity_tests.localisation import epsilon
from parity_tests.localisation.context import Diagnosis, FaultContext, ReferenceOp, channels_text
from parity_tests.localisation.layouts import Shape, squeezed
from parity_tests.localisation.opkinds import AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    along,
    application,
    per_channel,
    scale_and_shift,
)

# A constant differs if it is off by more than this many roundings, of its channel's greatest.
_ROUNDINGS = 8
# The cosine of solved weights with those that they were solved from.
_LIKE = 0.5
# How exactly a batch norm of unknown epsilon is measured on outputs.
_MEASURED = 1e-5
# Arrangements of OIHW weights that frameworks disagree about.
_ARRANGEMENTS: Mapping[str, Callable[[Values], Values]] = {
    "their kernels are transposed": lambda w: w.transpose(0, 1, 3, 2),
    "their kernels are rotated by half a turn": lambda w: w[:, :, ::-1, ::-1],
    "their kernels are mirrored": lambda w: w[:, :, :, ::-1],
    "their kernels are upside down": lambda w: w[:, :, ::-1],
    "inputs and outputs are swapped": lambda w: w.swapaxes(0, 1),
    "their outputs are in reverse order": lambda w: w[::-1],
    "their inputs are in reverse order": lambda w: w[:, ::-1],
}


@dataclass(frozen=True)
class Affine:
    """A convolution or Linear of the reference, any batch norm after it folded in.

    Attributes:
        op: The op at whose output it is compared: the batch norm, or itself.
        weight: Its weights, OIHW or OI.
        bias: What it adds to each output, `(outputs,)`.
        apply: Applies weights, without bias, to the inputs that agree.
        accuracy: Relative error of the folded constants.
    """

    op: ReferenceOp
    weight: Values
    bias: Values
    apply: Callable[[Values], Values]
    accuracy: float

    def output(self, weight: Values, bias: Values) -> Values:
        """What it writes with other constants."""
        sums = self.apply(weight)
        made: Values = sums + along(bias, sums)
        return made


@dataclass(frozen=True)
class Held:
    """The constants that a candidate computes with, in PyTorch's layout.

    Attributes:
        weight: Its weights.
        bias: Its bias; zeros if it has none.
    """

    weight: Values
    bias: Values


def affine_of(context: FaultContext) -> Affine | None:
    """The chain's only convolution or Linear; None if unknown."""
    weight, op = context.weight(), context.last_of(AFFINE, NORM)
    if weight is None or op is None:
        return None
    place = next(i for i, x in enumerate(context.chain) if x.kind == AFFINE)
    first = context.chain[place]
    values = context.chain[place - 1].values if place else context.input
    if values is None or any(x.kind == NORM for x in context.chain[:place]):
        return None
    apply = application(values, weight, first.values)
    if apply is None:
        return None
    bias = context.parameter(first, "bias")
    bias = np.zeros(len(weight)) if bias is None else bias
    accuracy = _ROUNDINGS * context.rounding_unit
    if op.kind == NORM:
        scale, shift, known = _folding(context, op, first)
        if scale is None or shift is None:
            return None
        weight = weight * scale.reshape(-1, *([1] * (weight.ndim - 1)))
        bias, accuracy = bias * scale + shift, max(accuracy, known)
    return Affine(op, weight, bias, lambda w: apply(values, w), accuracy)


def _folding(
    context: FaultContext, norm: ReferenceOp, first: ReferenceOp
) -> tuple[Values | None, Values | None, float]:
    """What a batch norm multiplies and adds, and how exactly that is known."""
    parts = [
        context.parameter(norm, n) for n in ("weight", "bias", "running_mean", "running_var", "eps")
    ]
    gamma, beta, mean, variance, eps = parts
    if gamma is None or beta is None or mean is None or variance is None or eps is None:
        if first.values.shape != norm.values.shape or per_channel(first.values).shape[1] < 2:
            return None, None, 0.0
        scale, shift = scale_and_shift(first.values, norm.values)
        return scale, shift, _MEASURED
    scale = gamma / np.sqrt(variance + eps)
    return scale, beta - mean * scale, 0.0


def held_constants(context: FaultContext, right: Affine) -> Held | None:
    """The candidate's weights and bias in PyTorch's layout: those that give its output."""
    constants = [np.asarray(constant, np.float64) for constant in context.constants]
    outputs = len(right.weight)
    biases = [np.zeros(outputs), *(c.ravel() for c in constants if c.size == outputs)]
    for constant in constants:
        for weight in _layouts(constant, right.weight.shape):
            sums = right.apply(weight)
            for bias in biases:
                made = sums + along(bias, sums)
                if made.shape == right.op.values.shape and context.explains(context.activate(made)):
                    return Held(weight, bias)
    return None


def has_right_constants(context: FaultContext, right: Affine) -> bool:
    """Whether the candidate's constants are PyTorch's weights and bias."""
    constants = [np.asarray(constant, np.float64) for constant in context.constants]
    weights = [w for c in constants for w in _layouts(c, right.weight.shape)]
    same = any(not _differ(w, right.weight, right.accuracy).any() for w in weights)
    limit = right.accuracy * max(float(np.abs(right.bias).max()), 1e-30)
    biases = [c.ravel() for c in constants if c.size == right.bias.size]
    return same and (
        not right.bias.any() or any(np.abs(b - right.bias).max() <= limit for b in biases)
    )


def other_weights(context: FaultContext) -> Diagnosis | None:
    """The output comes from weights or a bias that are not PyTorch's."""
    right = affine_of(context)
    if right is None or not context.constants:
        return None
    held = held_constants(context, right)
    if held is None:
        return None
    if context.is_solved:
        return _unlike(right, held)
    differ = _differ(held.weight, right.weight, right.accuracy)
    if not differ.any():
        return _bias(right, held)
    return (
        _epsilon(context, right, held)
        or _of_input_channels(right, held)
        or Diagnosis("weights differ", _described(right, held, differ), right.op.scope)
    )


def _unlike(right: Affine, held: Held) -> Diagnosis | None:
    """Weights that no calibration makes of PyTorch's."""
    count = len(right.bias)
    if right.bias.any() and not held.bias.any():
        evidence = f"missing in all {count} channels: up to {np.abs(right.bias).max():.4g}"
        return Diagnosis("bias dropped", evidence, right.op.scope)
    mine, theirs = (w.reshape(count, -1) for w in (right.weight, held.weight))
    lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.divide((mine * theirs).sum(1), lengths, out=np.ones(count), where=lengths > 0)
    if np.median(cosines) >= _LIKE and cosines.min() > -_LIKE:
        return None
    unlike = channels_text(np.flatnonzero(cosines < _LIKE), count)
    evidence = (
        f"more than calibration changes them: those of {unlike} have a cosine of "
        f"{cosines.min():.2f} to {cosines[cosines < _LIKE].max():.2f} with PyTorch's"
    )
    return Diagnosis("weights differ", evidence, right.op.scope)


def _differ(weight: Values, right: Values, accuracy: float) -> np.ndarray:
    """Which weights differ, as an array of their shape."""
    greatest = np.abs(right).reshape(len(right), -1).max(1)
    limit = accuracy * greatest.reshape(-1, *([1] * (right.ndim - 1)))
    found: np.ndarray = np.abs(weight - right) > np.maximum(limit, 1e-30)
    return found


def _bias(right: Affine, held: Held) -> Diagnosis | None:
    most = float(np.abs(right.bias).max())
    differ = np.flatnonzero(np.abs(held.bias - right.bias) > right.accuracy * max(most, 1e-30))
    if not differ.size:
        return None
    which = channels_text(differ, len(right.bias))
    if not held.bias[differ].any():
        evidence = f"missing in {which}: up to {most:.4g}"
        return Diagnosis("bias dropped", evidence, right.op.scope)
    off = float(np.abs(held.bias - right.bias).max())
    evidence = f"{which} shifted by up to {off:.4g}, its weights are right"
    if np.abs(np.sort(held.bias) - np.sort(right.bias)).max() <= right.accuracy * most:
        evidence += "; the same biases in another order"
    return Diagnosis("bias differs", evidence, right.op.scope)


def _epsilon(context: FaultContext, right: Affine, held: Held) -> Diagnosis | None:
    """Each channel is stretched about its bias as another epsilon stretches it."""
    if right.op.kind != NORM:
        return None
    eps, variance, beta = (context.parameter(right.op, n) for n in ("eps", "running_var", "bias"))
    if eps is None or variance is None or beta is None:
        return None
    rows, other = (w.reshape(len(w), -1) for w in (right.weight, held.weight))
    power = np.square(rows).sum(1)
    if not power.all():
        return None
    stretch = (rows * other).sum(1) / power
    left = np.abs(other - stretch[:, None] * rows).max(1)
    if (left > right.accuracy * np.abs(rows).max(1)).any():
        return None
    known = np.full(len(stretch), right.accuracy / _ROUNDINGS)
    found = epsilon.explain(stretch, known, variance, float(eps))
    bias = beta + (right.bias - beta) * stretch
    if found is None or np.abs(held.bias - bias).max() > right.accuracy * np.abs(bias).max():
        return None
    most = int(np.abs(stretch - 1).argmax())
    evidence = f"{found}: channel {most} is stretched by {stretch[most]:.6g}"
    if np.ptp(stretch) <= 2 * right.accuracy:
        evidence = (
            f"consistent with either: {evidence} or weights multiplied by {stretch[most]:.6g}"
        )
        return Diagnosis("BN epsilon or weights differ", evidence, right.op.scope)
    return Diagnosis("BN epsilon", evidence, right.op.scope)


def _of_input_channels(right: Affine, held: Held) -> Diagnosis | None:
    """The first convolution's weights are for reversed colours, or another range."""
    mine, theirs = right.weight, held.weight
    if mine.ndim != 4 or mine.shape[1] != 3:
        return None
    if not _differ(theirs, mine[:, ::-1], right.accuracy).any():
        evidence = "its weights are for the channels in reverse order"
        return Diagnosis("RGB/BGR order", evidence, right.op.scope)
    factors = (mine * theirs).sum((0, 2, 3)) / np.square(mine).sum((0, 2, 3))
    scaled = mine * factors.reshape(1, 3, 1, 1)
    if np.ptp(factors) <= right.accuracy or _differ(theirs, scaled, right.accuracy).any():
        return None
    listed = ", ".join(f"{f:.4g}" for f in factors)
    evidence = f"its weights of the input's channels are multiplied by {listed}"
    return Diagnosis("value range / mean / std", evidence, right.op.scope)


def _described(right: Affine, held: Held, differ: np.ndarray) -> str:
    """How many weights differ, by how much, and in which arrangement they would not."""
    rows = right.weight.reshape(len(right.weight), -1)
    off, most = float(np.abs(held.weight - right.weight).max()), float(np.abs(rows).max())
    which = channels_text(np.flatnonzero(differ.reshape(len(rows), -1).any(1)), len(rows))
    evidence = (
        f"{differ.sum():,} of {differ.size:,}, by up to {off:.4g} where PyTorch's reach "
        f"{most:.4g}: {which}"
    )
    factor = float((right.weight * held.weight).sum() / np.square(rows).sum())
    if not _differ(held.weight, factor * right.weight, right.accuracy).any():
        return f"{evidence}; all are multiplied by {factor:.6g}"
    # Arranged with the batch norm's scale in them, outputs would carry each other's.
    for text, arranged in _ARRANGEMENTS.items() if right.weight.ndim == 4 else ():
        other = arranged(right.weight)
        if (
            other.shape == held.weight.shape
            and not _differ(held.weight, other, right.accuracy).any()
        ):
            return f"{evidence}; {text}"
    return evidence


def _layouts(constant: Values, shape: Shape) -> Iterator[Values]:
    """A constant with its axes in every order that gives a shape, ignoring axes of length 1."""
    sides = squeezed(constant.shape)
    for order in permutations(range(len(sides))):
        if tuple(sides[axis] for axis in order) == squeezed(shape):
            yield np.ascontiguousarray(constant.reshape(sides).transpose(order).reshape(shape))
