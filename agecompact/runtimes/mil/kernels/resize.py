"""Resizes and crops the last axes, as MIL's `image_resizing` says."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_SAMPLING = (
    "DEFAULT",
    "STRICT_ALIGN_CORNERS",
    "ALIGN_CORNERS",
    "OFFSET_CORNERS",
    "UNALIGN_CORNERS",
)


def _points(size: int, target: int, sampling: str) -> Tensor:
    """Where the samples of an axis lie in the input, float64, before they are kept inside."""
    i = torch.arange(target, dtype=torch.float64)
    if sampling == "ALIGN_CORNERS" and target == 1:
        return torch.full((1,), (size - 1) / 2, dtype=torch.float64)
    if sampling in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        return i * ((size - 1) / max(target - 1, 1))
    if sampling == "OFFSET_CORNERS":
        delta = max(1, size - 1) / target
        return 0.5 * delta + i * delta
    if sampling == "UNALIGN_CORNERS":
        return (i + 0.5) * size / target - 0.5
    return i * (size / target)


def _linear(x: Tensor, axis: int, points: Tensor) -> Tensor:
    last = x.shape[axis] - 1
    points = points.clamp(0, last)
    low = points.floor().long()
    high = (low + 1).clamp(max=last)
    share = (points - low).float()
    share = share.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    below, above = x.index_select(axis, low), x.index_select(axis, high)
    return below * (1 - share) + above * share


def _nearest(x: Tensor, axis: int, target: int) -> Tensor:
    size = x.shape[axis]
    places = (torch.arange(target, dtype=torch.float64) * size / target).floor().long()
    return x.index_select(axis, places.clamp(0, size - 1))


def _scaled(size: int, factor: float) -> int:
    return math.floor(size * factor)


@kernel("upsample_nearest_neighbor")
def upsample_nearest_neighbor(p: Parameters) -> Tensor:
    """`upsample_nearest_neighbor`: by factors."""
    x = p.tensor("x")
    high = _scaled(x.shape[-2], p.number("scale_factor_height", 1))
    wide = _scaled(x.shape[-1], p.number("scale_factor_width", 1))
    return _nearest(_nearest(x, -2, high), -1, wide)


@kernel("resize_nearest_neighbor")
def resize_nearest_neighbor(p: Parameters) -> Tensor:
    """`resize_nearest_neighbor`: to sizes."""
    x, high = p.tensor("x"), p.integer("target_size_height")
    return _nearest(_nearest(x, -2, high), -1, p.integer("target_size_width"))


@kernel("upsample_bilinear")
def upsample_bilinear(p: Parameters) -> Tensor:
    """`upsample_bilinear`: by factors, the scale taken from the sizes."""
    x, aligned = p.tensor("x"), p.flag("align_corners", True)
    half = p.flag("half_pixel_centers", not aligned)
    high = _scaled(x.shape[-2], p.number("scale_factor_height", 1))
    wide = _scaled(x.shape[-1], p.number("scale_factor_width", 1))
    unaligned = "UNALIGN_CORNERS" if half else "DEFAULT"
    sampling = "STRICT_ALIGN_CORNERS" if aligned else unaligned
    for axis, target in ((-2, high), (-1, wide)):
        x = _linear(x, axis, _points(x.shape[axis], target, sampling))
    return x


@kernel("resize_bilinear")
def resize_bilinear(p: Parameters) -> Tensor:
    """`resize_bilinear`: to sizes, the grid as `sampling_mode` says."""
    x = p.tensor("x")
    sampling = p.text("sampling_mode", _SAMPLING, "DEFAULT")
    high, wide = p.integer("target_size_height", 1), p.integer("target_size_width", 1)
    for axis, target in ((-2, high), (-1, wide)):
        x = _linear(x, axis, _points(x.shape[axis], target, sampling))
    return x


@kernel("resize")
def resize(p: Parameters) -> Tensor:
    """`resize` of iOS 17: the last axes to the last sizes of `shape`; 0 keeps an axis."""
    x, shape, count = p.tensor("x"), p.ints("shape"), p.integer("resized_dims")
    mode = p.text("interpolation_mode", ("LINEAR", "NEAREST_NEIGHBOR"), "LINEAR")
    sampling = p.text("sampling_mode", _SAMPLING, "DEFAULT")
    whole = not x.is_floating_point()
    x = x.float()
    for axis in range(-count, 0):
        target = shape[axis] or x.shape[axis]
        if mode == "LINEAR":
            x = _linear(x, axis, _points(x.shape[axis], target, sampling))
        else:
            near = (_points(x.shape[axis], target, sampling) + 0.5).floor().long()
            x = x.index_select(axis, near.clamp(0, x.shape[axis] - 1))
    return x.long() if whole else x


@kernel("crop")
def crop(p: Parameters) -> Tensor:
    """`crop`: off both ends of the last two axes."""
    x = p.tensor("x")
    for axis, name in ((-2, "crop_height"), (-1, "crop_width")):
        before, after = p.ints(name)
        x = x.narrow(axis, before, x.shape[axis] - before - after)
    return x
