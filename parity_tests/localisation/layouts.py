"""The same tensor in another layout: NCHW and NHWC, flattened, squeezed, crops stacked or not."""

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
    """How a candidate's tensor is read to lie beside a reference's.

    Attributes:
        order: Its axes in the order that comes first.
        before: Its shape before that, where it is unflattened; None leaves it as it is.
        shape: Its shape afterwards.
        crop: Which index of the reference's leading axis it stands for; None for all of it.
    """

    order: Shape
    before: Shape | None
    shape: Shape
    crop: int | None = None

    def of_candidate(self, value: Array) -> Array:
        """The candidate's tensor as the reference lays it out."""
        unflattened = value if self.before is None else value.reshape(self.before)
        return np.transpose(unflattened, self.order).reshape(self.shape)

    def of_reference(self, value: Array) -> Array:
        """The part of the reference's tensor that the candidate's stands for."""
        return value if self.crop is None else value[self.crop : self.crop + 1]


@lru_cache(maxsize=4096)
def views(candidate: Shape, reference: Shape) -> tuple[View, ...]:
    """Every way in which a tensor of one shape may be a tensor of another, likeliest first.

    Spatial axes are never exchanged with each other: a tensor that needs that is wrong.
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


def same_rank(candidate: Shape, reference: Shape) -> bool:
    """Whether no axes are merged or split between two shapes; axes of one do not count."""
    return len(squeezed(candidate)) == len(squeezed(reference))


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of one."""
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
