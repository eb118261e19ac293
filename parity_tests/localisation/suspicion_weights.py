"""The suspicion that a convolution or Linear holds other weights than PyTorch's.

Converters lay weights out otherwise and fold batch norms into them. So what a candidate's op holds
is laid out as PyTorch's in every way that its shape allows, and taken for its weights only if with
them, on the inputs that agree, it writes what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from parity_tests.localisation.layouts import Shape, squeezed
from parity_tests.localisation.opkinds import AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    along,
    convolve,
    found_window,
    per_channel,
    scale_and_shift,
)
from parity_tests.localisation.scene import Finding, Link, Scene, channels_text

# A weight differs that is off by more roundings, or by more of its channel's greatest: so well is
# the scale of a batch norm known, which is measured on what it wrote.
_ROUNDINGS = 4
_SCALE_KNOWN = 1e-5


def other_weights(scene: Scene) -> Finding | None:
    """Weights that make what was written and are not PyTorch's, counted."""
    weight, link = scene.weight(), scene.affine()
    if weight is None or link is None or not scene.constants:
        return None
    right = _folded(scene, link, weight)
    apply = _application(scene, weight)
    held = None if right is None or apply is None else _held(scene, link, weight.shape, apply)
    if right is None or held is None:
        return None
    rows, other = right.reshape(len(right), -1), held.reshape(len(right), -1)
    limit = max(_ROUNDINGS * scene.unit, _SCALE_KNOWN) * np.abs(rows).max(1, keepdims=True)
    wrong = np.abs(other - rows)
    differ = wrong > limit
    if not differ.any():
        return None
    told = f"{differ.sum():,} of {differ.size:,}, by up to {wrong.max():.4g} where PyTorch's reach"
    which = channels_text(np.flatnonzero(differ.any(1)), len(rows))
    return Finding("weights differ", f"{told} {np.abs(rows).max():.4g}: {which}", link.scope)


def _folded(scene: Scene, link: Link, weight: Values) -> Values | None:
    """PyTorch's weights with a batch norm that follows folded in; None where it cannot be told."""
    if link.kind == AFFINE:
        return weight
    sums = next(x.values for x in scene.chain if x.kind == AFFINE)
    if sums.shape != link.values.shape or per_channel(sums).shape[1] < 2:
        return None
    scale, _ = scale_and_shift(sums, link.values)
    return weight * scale.reshape(-1, *([1] * (weight.ndim - 1)))


def _application(scene: Scene, weight: Values) -> Callable[[Values], Values] | None:
    """What weights make of the inputs that agree, bias left out; None where it is not known."""
    place = next(i for i, x in enumerate(scene.chain) if x.kind == AFFINE)
    given, made = scene.chain[place - 1].values if place else scene.source, scene.chain[place]
    if given is None or any(x.kind == NORM for x in scene.chain[:place]):
        return None
    if weight.ndim == 2:
        known = given.shape[-1] == weight.shape[1]
        return (lambda w: given @ w.T) if known else None
    window = found_window(given, weight, made.values)
    return None if window is None else lambda w: convolve(given, w, window)


def _held(
    scene: Scene, link: Link, shape: Shape, apply: Callable[[Values], Values]
) -> Values | None:
    """The candidate's weights as PyTorch lays its out: those that make what it wrote."""
    constants = [np.asarray(constant, np.float64) for constant in scene.constants]
    for constant in constants:
        for weights in _layouts(constant, shape):
            sums = apply(weights)
            for bias in (np.zeros(shape[0]), *(c for c in constants if c.size == shape[0])):
                made = sums + along(bias.ravel(), sums)
                if made.shape == link.values.shape and scene.explains(scene.activate(made)):
                    return weights
    return None


def _layouts(constant: Values, shape: Shape) -> Iterator[Values]:
    """A constant with its axes in every order that gives a shape, axes of one left out."""
    sides = squeezed(constant.shape)
    for order in permutations(range(len(sides))):
        if tuple(sides[axis] for axis in order) == squeezed(shape):
            yield np.ascontiguousarray(constant.reshape(sides).transpose(order).reshape(shape))
