"""Reductions along axes: MIL's `reduction`. Sums stay in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

# The types of `output_dtype`, of indices.
INDEX_TYPES = ("int32", "uint16")

# Takes a tensor and the axes to reduce, which keep length 1.
_Reduction = Callable[[Tensor, list[int]], Tensor]


def _product(x: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        x = x.prod(axis, keepdim=True)
    return x


def _whole(x: Tensor, value: Tensor) -> Tensor:
    """Truncates a mean or root of integers to the integer that the program declares."""
    return value if x.is_floating_point() else value.long()


_REDUCTIONS: Mapping[str, _Reduction] = {
    "reduce_l1_norm": lambda x, axes: x.abs().sum(axes, keepdim=True),
    "reduce_l2_norm": lambda x, axes: _whole(x, x.float().square().sum(axes, keepdim=True).sqrt()),
    "reduce_log_sum": lambda x, axes: _whole(x, x.float().sum(axes, keepdim=True).log()),
    "reduce_log_sum_exp": lambda x, axes: _whole(x, x.float().logsumexp(axes, keepdim=True)),
    "reduce_max": lambda x, axes: x.amax(axes, keepdim=True),
    "reduce_mean": lambda x, axes: _whole(x, x.float().mean(axes, keepdim=True)),
    "reduce_min": lambda x, axes: x.amin(axes, keepdim=True),
    "reduce_prod": _product,
    "reduce_sum": lambda x, axes: x.sum(axes, keepdim=True),
    "reduce_sum_square": lambda x, axes: x.square().sum(axes, keepdim=True),
}


def _reduced(reduction: _Reduction, p: Parameters) -> Tensor:
    x = p.tensor("x")
    axes = sorted({axis % x.ndim for axis in p.ints("axes", range(x.ndim))})
    kept = reduction(x, axes)
    if p.flag("keep_dims", False):
        return kept
    return kept.reshape([size for axis, size in enumerate(x.shape) if axis not in axes])


def _index(find: Callable[..., Tensor], p: Parameters) -> Tensor:
    p.text("output_dtype", INDEX_TYPES, "int32")
    return find(p.tensor("x"), p.integer("axis", -1), keepdim=p.flag("keep_dims", False))


for _kind, _reduction in _REDUCTIONS.items():
    kernel(_kind)(partial(_reduced, _reduction))
kernel("reduce_argmax")(partial(_index, torch.argmax))
kernel("reduce_argmin")(partial(_index, torch.argmin))
