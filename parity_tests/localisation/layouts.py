"""The same tensor in another layout: NCHW or NHWC, flattened, squeezed, crops stacked or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from agecompact.runtimes.base import Array

Shape = tuple[int, ...]

# Axis orders by number of axes: channels moved last or first.
_ORDERS: dict[int, tuple[Shape, ...]] = {
    3: ((0, 1, 2), (2, 0, 1), (1, 2, 0)),
    4: ((0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)),
}


@dataclass(frozen=True)
class View:
    """How to rearrange a candidate's tensor to compare it with a reference's.

    Attributes:
        order: Order of its axes for the transposition.
        before: Shape to unflatten it to before the transposition; None leaves it as it is.
        shape: Shape after the transposition.
        crop: Index on the reference's leading axis that it corresponds to; None for all of it.
    """

    order: Shape
    before: Shape | None
    shape: Shape
    crop: int | None = None

    def of_candidate(self, value: Array) -> Array:
        """The candidate's tensor in the reference's layout."""
        unflattened = value if self.before is None else value.reshape(self.before)
        return np.transpose(unflattened, self.order).reshape(self.shape)

    def of_reference(self, value: Array) -> Array:
        """The part of the reference's tensor that the candidate's corresponds to."""
        return value if self.crop is None else value[self.crop : self.crop + 1]


@lru_cache(maxsize=4096)
def views(candidate: Shape, reference: Shape) -> tuple[View, ...]:
    """Every way to rearrange a tensor of one shape into another, most likely first.

    Height and width are never swapped: a tensor that needs that is wrong.
    """
    if prod(candidate) == prod(reference):
        return tuple(dict.fromkeys(_whole(candidate, reference)))
    if len(reference) < 2 or prod(candidate) * reference[0] != prod(reference):
        return ()
    one = (1, *reference[1:])
    return tuple(
        View(view.order, view.before, view.shape, crop)
        for crop in range(reference[0])
        for view in views(candidate, one)
    )


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of length 1."""
    return tuple(side for side in shape if side != 1)


def _whole(candidate: Shape, reference: Shape) -> Iterator[View]:
    straight = tuple(range(len(candidate)))
    for order in _ORDERS.get(len(candidate), (straight,)):
        moved = tuple(candidate[axis] for axis in order)
        merged = len(squeezed(reference)) < len(squeezed(moved))
        if squeezed(moved) == squeezed(reference) or merged:
            yield View(order, None, reference)
    if len(squeezed(reference)) > len(squeezed(candidate)):
        yield View(tuple(range(len(reference))), reference, reference)
        if len(reference) == 4:
            n, c, h, w = reference
            yield View((0, 3, 1, 2), (n, h, w, c), reference)
