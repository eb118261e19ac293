"""Gathers and scatters, as MIL's `scatter_gather` says.

Indices may be negative before iOS 17. Since then they may not, and what one outside does is not
defined unless `validate_indices` makes it an error; here it is an error in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_IOS17 = 17
_MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "update": lambda _, new: new,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": lambda old, new: old / new if old.is_floating_point() else old // new,
    "max": torch.maximum,
    "min": torch.minimum,
}


def _indices(p: Parameters, size: int) -> Tensor:
    """Indices into an axis, none negative."""
    indices = p.tensor("indices")
    p.flag("validate_indices", False)
    least = 0 if p.opset >= _IOS17 else -size
    if indices.numel() and not least <= int(indices.min()) <= int(indices.max()) < size:
        raise UsageError(
            "an index is outside its tensor",
            why=f"{int(indices.min())} to {int(indices.max())} into an axis of {size}",
        )
    return torch.where(indices < 0, indices + size, indices)


@kernel("gather")
def gather(p: Parameters) -> Tensor:
    """`gather`: slices of x along an axis, for each of the batch axes on their own."""
    x, axis, batch = p.tensor("x"), p.integer("axis", 0), p.integer("batch_dims", 0)
    axis %= x.ndim
    indices = _indices(p, x.shape[axis])
    if batch == 0:
        flat = x.index_select(axis, indices.reshape(-1))
        return flat.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])
    lead = x.shape[:batch]
    rows = x.reshape(-1, *x.shape[batch:])
    places = indices.reshape(rows.shape[0], -1)
    inner = axis - batch
    found = torch.stack(
        [row.index_select(inner, place) for row, place in zip(rows, places, strict=True)]
    )
    sizes = x.shape[batch:axis] + indices.shape[batch:] + x.shape[axis + 1 :]
    return found.reshape(lead + sizes)


@kernel("gather_along_axis")
def gather_along_axis(p: Parameters) -> Tensor:
    """`gather_along_axis`: one element for each index, the other axes its own."""
    x, axis = p.tensor("x"), p.integer("axis", 0)
    return torch.take_along_dim(x, _indices(p, x.shape[axis]), axis)


def _tuples(p: Parameters, x: Tensor, batch: int) -> tuple[Tensor, ...]:
    """Index tuples of the last axis as one index tensor an axis of x."""
    indices = p.tensor("indices")
    p.flag("validate_indices", False)
    places: list[Tensor] = []
    for axis in range(batch):
        shape = [-1 if i == axis else 1 for i in range(indices.ndim - 1)]
        places.append(torch.arange(x.shape[axis]).reshape(shape))
    for column in range(indices.shape[-1]):
        size, place = x.shape[batch + column], indices[..., column]
        least = 0 if p.opset >= _IOS17 else -size
        if place.numel() and not least <= int(place.min()) <= int(place.max()) < size:
            raise UsageError("an index is outside its tensor", why=f"into an axis of {size}")
        places.append(torch.where(place < 0, place + size, place))
    return tuple(places)


@kernel("gather_nd")
def gather_nd(p: Parameters) -> Tensor:
    """`gather_nd`: slices of x named by index tuples."""
    x, batch = p.tensor("x"), p.integer("batch_dims", 0)
    return x[_tuples(p, x, batch)]


@kernel("scatter")
def scatter(p: Parameters) -> Tensor:
    """`scatter`: updates slices along an axis, one after another."""
    data = p.tensor("data").clone()
    axis = p.integer("axis", 0) % data.ndim
    mode = _MODES[p.text("mode", tuple(_MODES), "update")]
    indices = _indices(p, data.shape[axis]).reshape(-1).tolist()
    # In the place of the axis, updates have the axes of the indices.
    sizes = (*data.shape[:axis], len(indices), *data.shape[axis + 1 :])
    updates = p.tensor("updates").reshape(sizes)
    for place, index in enumerate(indices):
        part = data.select(axis, index)
        part.copy_(mode(part.clone(), updates.select(axis, place)))
    return data


@kernel("scatter_along_axis")
def scatter_along_axis(p: Parameters) -> Tensor:
    """`scatter_along_axis`: updates one element for each index, in order."""
    data, updates = p.tensor("data").clone(), p.tensor("updates")
    axis = p.integer("axis", 0)
    mode = _MODES[p.text("mode", tuple(_MODES), "add")]
    indices = _indices(p, data.shape[axis])
    for place in range(indices.shape[axis]):
        index = indices.narrow(axis, place, 1)
        window = data[
            tuple(
                slice(0, n) if i != axis % data.ndim else slice(None)
                for i, n in enumerate(indices.shape)
            )
        ]
        old = torch.gather(window, axis, index)
        window.scatter_(axis, index, mode(old, updates.narrow(axis, place, 1)))
    return data


@kernel("scatter_nd")
def scatter_nd(p: Parameters) -> Tensor:
    """`scatter_nd`: updates slices named by index tuples, one after another."""
    data, updates = p.tensor("data").clone(), p.tensor("updates")
    mode = _MODES[p.text("mode", tuple(_MODES), "add")]
    places = [place.reshape(-1).tolist() for place in _tuples(p, data, 0)]
    depth = len(places)
    rows = updates.reshape(-1, *data.shape[depth:])
    for row, index in enumerate(zip(*places, strict=True)):
        data[index] = mode(data[index].clone(), rows[row])
    return data
