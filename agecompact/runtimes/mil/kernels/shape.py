"""Shapes, axes and slices: MIL's `tensor_transformation`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.kernels.axes import along
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_IOS17 = 17


@kernel("shape")
def shape(p: Parameters) -> Tensor:
    """`shape`: the sizes of the axes."""
    return torch.tensor(p.tensor("x").shape)


@kernel("reshape")
def reshape(p: Parameters) -> Tensor:
    """`reshape`: -1 is the rest; 0 keeps the input's size, counted from the end since iOS 17."""
    x, wanted = p.tensor("x"), p.ints("shape")
    shift = x.ndim - len(wanted) if p.opset >= _IOS17 else 0
    if p.opset < _IOS17 and 0 in wanted and len(wanted) != x.ndim:
        raise UsageError(
            "a reshape with a size of 0 must keep the rank",
            why=f"the ranks are {x.ndim} and {len(wanted)}; only iOS 17 lets them differ",
        )
    sizes = []
    for axis, size in enumerate(wanted, shift):
        inherited = x.shape[axis] if 0 <= axis < x.ndim else 1
        sizes.append(inherited if size == 0 else size)
    return x.reshape(sizes)


@kernel("reshape_like")
def reshape_like(p: Parameters) -> Tensor:
    """`reshape_like`: to the concatenation of parts of other tensors' shapes."""
    x, references = p.tensor("x"), p.tensors("ref_tensors")
    begins, ends, masks = p.tensors("begins"), p.tensors("ends"), p.tensors("end_masks")
    sizes: list[int] = []
    for reference, begin, end, mask in zip(references, begins, ends, masks, strict=True):
        last = None if bool(mask.item()) else int(end.item())
        sizes += reference.shape[int(begin.item()) : last]
    return x.reshape(sizes)


@kernel("expand_dims")
def expand_dims(p: Parameters) -> Tensor:
    """`expand_dims`: new axes of length 1, at positions in the result."""
    x, axes = p.tensor("x"), p.ints("axes")
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@kernel("squeeze")
def squeeze(p: Parameters) -> Tensor:
    """`squeeze`: drops axes of length 1, by default all; longer ones stay."""
    x = p.tensor("x")
    return x.squeeze(tuple(p.ints("axes", range(x.ndim))))


@kernel("transpose")
def transpose(p: Parameters) -> Tensor:
    """`transpose`: reorders the axes."""
    return p.tensor("x").permute(p.ints("perm"))


@kernel("reverse")
def reverse(p: Parameters) -> Tensor:
    """`reverse`: along axes, by default all."""
    x = p.tensor("x")
    return x.flip(p.ints("axes", range(x.ndim)))


@kernel("reverse_sequence")
def reverse_sequence(p: Parameters) -> Tensor:
    """`reverse_sequence`: reverses the first elements of each sample, by its length."""
    x, lengths = p.tensor("x").clone(), p.ints("lengths")
    axis, batch = p.integer("seq_axis", 0), p.integer("batch_axis", 0)
    for sample, length in enumerate(lengths):
        part = x.narrow(batch, sample, 1).narrow(axis, 0, length)
        part.copy_(part.flip(axis))
    return x


def _slices(p: Parameters, x: Tensor) -> tuple[Tensor, ...]:
    """Indices of a slice, as one tensor per axis, which broadcast to a grid."""
    rank = x.ndim
    begins, ends = p.ints("begin"), p.ints("end")
    strides = p.ints("stride", [1] * rank)
    begin_mask, end_mask = p.flags("begin_mask", rank), p.flags("end_mask", rank)
    squeezed = p.flags("squeeze_mask", rank)
    places = []
    for axis, size in enumerate(x.shape):
        if squeezed[axis]:
            indices = [begins[axis] % size if size else 0]
        else:
            begin = None if begin_mask[axis] else begins[axis]
            end = None if end_mask[axis] else ends[axis]
            indices = list(range(*slice(begin, end, strides[axis]).indices(size)))
        places.append(along(torch.tensor(indices, dtype=torch.long), axis, rank))
    return tuple(places)


@kernel("slice_by_index")
def slice_by_index(p: Parameters) -> Tensor:
    """`slice_by_index`: begin to end by stride; a masked begin or end is that of the axis."""
    x = p.tensor("x")
    found = x[_slices(p, x)]
    squeezed = p.flags("squeeze_mask", x.ndim)
    return found.reshape([n for n, drop in zip(found.shape, squeezed, strict=True) if not drop])


@kernel("slice_update")
def slice_update(p: Parameters) -> Tensor:
    """`slice_update` of iOS 18: x with a slice, as in `slice_by_index`, replaced."""
    x, update = p.tensor("x").clone(), p.tensor("update")
    places = _slices(p, x)
    x[places] = update.reshape([place.numel() for place in places])
    return x


@kernel("slice_by_size")
def slice_by_size(p: Parameters) -> Tensor:
    """`slice_by_size`: from begin; size -1 is the rest."""
    x = p.tensor("x")
    for axis, (begin, size) in enumerate(zip(p.ints("begin"), p.ints("size"), strict=True)):
        start = begin % x.shape[axis]
        x = x.narrow(axis, start, x.shape[axis] - start if size == -1 else size)
    return x


@kernel("concat")
def concat(p: Parameters) -> Tensor:
    """`concat` along an axis; interleaving takes one element of each tensor in turn."""
    values = [value.reshape(1) if value.ndim == 0 else value for value in p.tensors("values")]
    axis, interleave = p.integer("axis"), p.flag("interleave", False)
    if not interleave:
        return torch.cat(values, axis)
    axis %= values[0].ndim
    together = torch.stack(values, axis + 1)
    sizes = list(values[0].shape)
    sizes[axis] *= len(values)
    return together.reshape(sizes)


@kernel("stack")
def stack(p: Parameters) -> Tensor:
    """`stack` along a new axis."""
    return torch.stack(p.tensors("values"), p.integer("axis"))


@kernel("split")
def split(p: Parameters) -> tuple[Tensor, ...]:
    """`split` along an axis, into given sizes or a number of equal parts."""
    x, axis = p.tensor("x"), p.integer("axis")
    count, sizes = p.integer("num_splits", 0), p.ints("split_sizes", [])
    if not sizes:
        if count < 1 or x.shape[axis] % count:
            raise UsageError(f"{x.shape[axis]} elements cannot be split into {count} equal parts")
        sizes = [x.shape[axis] // count] * count
    if count not in (0, len(sizes)):
        raise UsageError(f"a split into {count} parts has {len(sizes)} sizes")
    return torch.split(x, sizes, axis)


@kernel("flatten2d")
def flatten2d(p: Parameters) -> Tensor:
    """`flatten2d`: the axes before one become the rows, the others the columns."""
    x, axis = p.tensor("x"), p.integer("axis", 1)
    before = math.prod(x.shape[:axis])
    return x.reshape(before, math.prod(x.shape[axis:]))


@kernel("sliding_windows")
def sliding_windows(p: Parameters) -> Tensor:
    """`sliding_windows`: windows of an axis; the axis inside a window follows it."""
    x, axis = p.tensor("x"), p.integer("axis")
    axis %= x.ndim
    windows = x.unfold(axis, p.integer("size"), p.integer("stride", 1))
    return windows.movedim(-1, axis + 1)
