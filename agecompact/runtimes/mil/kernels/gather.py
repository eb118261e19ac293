"""Gathers and scatters: MIL's `scatter_gather`.

Before iOS 17, indices may be negative. Since then they may not, and the effect of an index out of
range is undefined unless `validate_indices` makes it an error. Here it is always an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.kernels.axes import along
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


def _mode(p: Parameters, default: str) -> Callable[[Tensor, Tensor], Tensor]:
    return _MODES[p.text("mode", _MODES, default)]


def _indices(p: Parameters) -> Tensor:
    p.flag("validate_indices", False)
    return p.tensor("indices")


def _wrapped(p: Parameters, indices: Tensor, size: int) -> Tensor:
    """Indices into an axis of a size, with negative ones replaced."""
    least = 0 if p.opset >= _IOS17 else -size
    if indices.numel() and not least <= int(indices.min()) <= int(indices.max()) < size:
        raise UsageError(
            "an index is out of range",
            why=f"{int(indices.min())} to {int(indices.max())} for an axis of {size}",
        )
    return torch.where(indices < 0, indices + size, indices)


@kernel("gather")
def gather(p: Parameters) -> Tensor:
    """`gather`: slices of x along an axis, separately for each element of the batch axes."""
    x, axis, batch = p.tensor("x"), p.integer("axis", 0), p.integer("batch_dims", 0)
    axis %= x.ndim
    indices = _wrapped(p, _indices(p), x.shape[axis])
    if batch == 0:
        flat = x.index_select(axis, indices.reshape(-1))
        return flat.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])
    rows = x.reshape(-1, *x.shape[batch:])
    places = indices.reshape(rows.shape[0], -1)
    found = torch.stack(
        [row.index_select(axis - batch, place) for row, place in zip(rows, places, strict=True)]
    )
    sizes = x.shape[batch:axis] + indices.shape[batch:] + x.shape[axis + 1 :]
    return found.reshape(x.shape[:batch] + sizes)


@kernel("gather_along_axis")
def gather_along_axis(p: Parameters) -> Tensor:
    """`gather_along_axis`: one element per index; the other axes are those of the index."""
    x, axis = p.tensor("x"), p.integer("axis", 0)
    return torch.take_along_dim(x, _wrapped(p, _indices(p), x.shape[axis]), axis)


def _index_tuples(p: Parameters, x: Tensor, batch: int) -> tuple[Tensor, ...]:
    """The index tuples in the last axis, as one index tensor per axis of x."""
    indices = _indices(p)
    rank = indices.ndim - 1
    places = [along(torch.arange(x.shape[axis]), axis, rank) for axis in range(batch)]
    for column, size in enumerate(x.shape[batch : batch + indices.shape[-1]]):
        places.append(_wrapped(p, indices[..., column], size))
    return tuple(places)


@kernel("gather_nd")
def gather_nd(p: Parameters) -> Tensor:
    """`gather_nd`: slices of x at index tuples."""
    x, batch = p.tensor("x"), p.integer("batch_dims", 0)
    return x[_index_tuples(p, x, batch)]


@kernel("scatter")
def scatter(p: Parameters) -> Tensor:
    """`scatter`: updates slices along an axis, in order."""
    data = p.tensor("data").clone()
    axis = p.integer("axis", 0) % data.ndim
    mode = _mode(p, "update")
    indices = _wrapped(p, _indices(p), data.shape[axis]).reshape(-1).tolist()
    # Updates have the axes of the indices in place of this axis.
    sizes = (*data.shape[:axis], len(indices), *data.shape[axis + 1 :])
    updates = p.tensor("updates").reshape(sizes)
    for place, index in enumerate(indices):
        part = data.select(axis, index)
        part.copy_(mode(part.clone(), updates.select(axis, place)))
    return data


@kernel("scatter_along_axis")
def scatter_along_axis(p: Parameters) -> Tensor:
    """`scatter_along_axis`: updates one element per index, in order."""
    data, updates = p.tensor("data").clone(), p.tensor("updates")
    axis = p.integer("axis", 0) % data.ndim
    mode = _mode(p, "add")
    indices = _wrapped(p, _indices(p), data.shape[axis])
    sizes = [None if i == axis else n for i, n in enumerate(indices.shape)]
    window = data[tuple(slice(size) for size in sizes)]
    for place in range(indices.shape[axis]):
        index = indices.narrow(axis, place, 1)
        old = torch.gather(window, axis, index)
        window.scatter_(axis, index, mode(old, updates.narrow(axis, place, 1)))
    return data


@kernel("scatter_nd")
def scatter_nd(p: Parameters) -> Tensor:
    """`scatter_nd`: updates slices at index tuples, in order."""
    data, updates = p.tensor("data").clone(), p.tensor("updates")
    mode = _mode(p, "add")
    places = [place.reshape(-1).tolist() for place in _index_tuples(p, data, 0)]
    rows = updates.reshape(-1, *data.shape[len(places) :])
    for row, index in enumerate(zip(*places, strict=True)):
        data[index] = mode(data[index].clone(), rows[row])
    return data
