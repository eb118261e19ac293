"""Makes, repeats, sorts and pads tensors: MIL's `tensor_operation`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from agecompact.errors import UsageError
from agecompact.runtimes.mil.kernels.reduce import INDEX_TYPES
from agecompact.runtimes.mil.kernels.windows import flat
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel


@kernel("band_part")
def band_part(p: Parameters) -> Tensor:
    """`band_part`: zeros outside a band of the last two axes; a negative width keeps its side."""
    x, lower, upper = p.tensor("x"), p.integer("lower", -1), p.integer("upper", -1)
    below = torch.arange(x.shape[-2])[:, None] - torch.arange(x.shape[-1])
    inside = ((lower < 0) | (below <= lower)) & ((upper < 0) | (-below <= upper))
    return torch.where(inside, x, torch.zeros((), dtype=x.dtype))


@kernel("cumsum")
def cumsum(p: Parameters) -> Tensor:
    """`cumsum`: sums of the elements before each one; includes it unless exclusive."""
    x, axis = p.tensor("x"), p.integer("axis", 0)
    exclusive, backwards = p.flag("exclusive", False), p.flag("reverse", False)
    if backwards:
        x = x.flip(axis)
    total = x.cumsum(axis)
    if exclusive:
        total = total.roll(1, axis)
        total.select(axis, 0).zero_()
    return total.flip(axis) if backwards else total


_OF_KIND = {"float": torch.float32, "bool": torch.bool}


def _scalar(p: Parameters, name: str, default: int) -> Tensor:
    """A scalar parameter; its default has the declared type of the output."""
    value = p.optional(name)
    if value is not None:
        return value
    return torch.tensor(default, dtype=_OF_KIND.get(p.declared[0].dtype.kind, torch.long))


@kernel("fill")
def fill(p: Parameters) -> Tensor:
    """`fill`: a tensor with one value everywhere, by default 0."""
    return _scalar(p, "value", 0).reshape(()).expand(p.ints("shape")).clone()


@kernel("fill_like")
def fill_like(p: Parameters) -> Tensor:
    """`fill_like`: `fill` in the shape of another tensor."""
    return _scalar(p, "value", 0).reshape(()).expand(p.tensor("ref_tensor").shape).clone()


@kernel("non_zero")
def non_zero(p: Parameters) -> Tensor:
    """`non_zero`: indices of the elements that are not 0, one per row."""
    return torch.nonzero(p.tensor("x"))


@kernel("one_hot")
def one_hot(p: Parameters) -> Tensor:
    """`one_hot`: `on_value` at each index along a new axis, `off_value` elsewhere."""
    indices, size = p.tensor("indices"), p.integer("one_hot_vector_size")
    on, off = _scalar(p, "on_value", 1), _scalar(p, "off_value", 0)
    # All elements are off for an index out of range.
    hot = indices[..., None] == torch.arange(size)
    return torch.where(hot, on, off).movedim(-1, p.integer("axis", -1))


@kernel("pad")
def pad(p: Parameters) -> Tensor:
    """`pad`: the last axes, with a constant, by reflection or by repeating the edge."""
    x, amounts = p.tensor("x"), p.ints("pad")
    mode = p.text("mode", ("constant", "reflect", "replicate"), "constant")
    value = p.optional("constant_val")
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim or min(amounts, default=0) < 0:
        raise UsageError(f"a padding of {amounts} does not fit a tensor of rank {x.ndim}")
    pairs = [(amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)]
    if mode == "constant":
        return F.pad(x, flat(pairs), value=0 if value is None else value.item())
    for axis, (before, after) in enumerate(pairs, x.ndim - len(pairs)):
        x = _extended(x, axis, before, after, reflected=mode == "reflect")
    return x


def _extended(x: Tensor, axis: int, before: int, after: int, *, reflected: bool) -> Tensor:
    last = x.shape[axis] - 1
    places = torch.arange(-before, last + after + 1)
    if reflected:
        if max(before, after) > last:
            raise UsageError(
                f"a reflection of {max(before, after)} does not fit an axis of {last + 1}"
            )
        places = last - (last - places.abs()).abs()
    return x.index_select(axis, places.clamp(0, last))


@kernel("range_1d")
def range_1d(p: Parameters) -> Tensor:
    """`range_1d`: from start, by step, up to but without end."""
    start, end, step = p.tensor("start"), p.tensor("end"), p.tensor("step")
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


@kernel("tile")
def tile(p: Parameters) -> Tensor:
    """`tile`: repeats each axis."""
    return p.tensor("x").repeat(p.ints("reps"))


@kernel("argsort")
def argsort(p: Parameters) -> Tensor:
    """`argsort`: descending by default; equal elements keep their order."""
    ascending = p.flag("ascending", False)
    axis = p.integer("axis", -1)
    return torch.argsort(p.tensor("x"), dim=axis, descending=not ascending, stable=True)


@kernel("topk")
def topk(p: Parameters) -> Tensor | tuple[Tensor, ...]:
    """`topk`: the largest or smallest elements and their indices; always sorted."""
    x, k, axis = p.tensor("x"), p.integer("k", 1), p.integer("axis", -1)
    ascending = p.flag("ascending", False)
    p.flag("sort", True)
    p.text("output_indices_dtype", INDEX_TYPES, "int32")
    with_indices = p.flag("return_indices", True)
    values, indices = torch.sort(x, dim=axis, descending=not ascending, stable=True)
    k = x.shape[axis] if k == -1 else k
    values, indices = values.narrow(axis, 0, k), indices.narrow(axis, 0, k)
    return (values, indices) if with_indices else values
