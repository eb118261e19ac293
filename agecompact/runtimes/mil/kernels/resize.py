"""Resizes and crops the last axes: MIL's `image_resizing`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agecompact.runtimes.mil.kernels.axes import along
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
    """Positions of the samples of an axis in the input, float64, not yet clamped to it."""
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


def _linear(x: Tensor, axis: int, target: int, sampling: str) -> Tensor:
    last = x.shape[axis] - 1
    points = _points(x.shape[axis], target, sampling).clamp(0, last)
    low = points.floor().long()
    high = (low + 1).clamp(max=last)
    share = along((points - low).float(), axis, x.ndim)
    below, above = x.index_select(axis, low), x.index_select(axis, high)
    return below * (1 - share) + above * share


def _nearest(x: Tensor, axis: int, target: int) -> Tensor:
    size = x.shape[axis]
    places = (torch.arange(target, dtype=torch.float64) * size / target).floor().long()
    return x.index_select(axis, places.clamp(0, size - 1))


def _scaled_sizes(p: Parameters, x: Tensor) -> tuple[int, int]:
    """Height and width, by the scale factors."""
    height = math.floor(x.shape[-2] * p.number("scale_factor_height", 1))
    width = math.floor(x.shape[-1] * p.number("scale_factor_width", 1))
    return height, width


@kernel("upsample_nearest_neighbor")
def upsample_nearest_neighbor(p: Parameters) -> Tensor:
    """`upsample_nearest_neighbor`: by scale factors."""
    x = p.tensor("x")
    height, width = _scaled_sizes(p, x)
    return _nearest(_nearest(x, -2, height), -1, width)


@kernel("resize_nearest_neighbor")
def resize_nearest_neighbor(p: Parameters) -> Tensor:
    """`resize_nearest_neighbor`: to sizes."""
    x, height = p.tensor("x"), p.integer("target_size_height")
    return _nearest(_nearest(x, -2, height), -1, p.integer("target_size_width"))


@kernel("upsample_bilinear")
def upsample_bilinear(p: Parameters) -> Tensor:
    """`upsample_bilinear`: by scale factors; the grid follows from the rounded sizes."""
    x, aligned = p.tensor("x"), p.flag("align_corners", True)
    half = p.flag("half_pixel_centers", not aligned)
    height, width = _scaled_sizes(p, x)
    unaligned = "UNALIGN_CORNERS" if half else "DEFAULT"
    sampling = "STRICT_ALIGN_CORNERS" if aligned else unaligned
    return _linear(_linear(x, -2, height, sampling), -1, width, sampling)


@kernel("resize_bilinear")
def resize_bilinear(p: Parameters) -> Tensor:
    """`resize_bilinear`: to sizes, on the grid of `sampling_mode`."""
    x = p.tensor("x")
    sampling = p.text("sampling_mode", _SAMPLING, "DEFAULT")
    height, width = p.integer("target_size_height", 1), p.integer("target_size_width", 1)
    return _linear(_linear(x, -2, height, sampling), -1, width, sampling)


@kernel("resize")
def resize(p: Parameters) -> Tensor:
    """`resize` of iOS 17: the last axes to the last sizes of `shape`; 0 keeps a size."""
    x, shape, count = p.tensor("x"), p.ints("shape"), p.integer("resized_dims")
    mode = p.text("interpolation_mode", ("LINEAR", "NEAREST_NEIGHBOR"), "LINEAR")
    sampling = p.text("sampling_mode", _SAMPLING, "DEFAULT")
    whole = not x.is_floating_point()
    x = x.float()
    for axis in range(-count, 0):
        target = shape[axis] or x.shape[axis]
        if mode == "LINEAR":
            x = _linear(x, axis, target, sampling)
        else:
            near = (_points(x.shape[axis], target, sampling) + 0.5).floor().long()
            x = x.index_select(axis, near.clamp(0, x.shape[axis] - 1))
    return x.long() if whole else x


@kernel("crop")
def crop(p: Parameters) -> Tensor:
    """`crop`: both ends of the last two axes."""
    x = p.tensor("x")
    for axis, name in ((-2, "crop_height"), (-1, "crop_width")):
        before, after = p.ints(name)
        x = x.narrow(axis, before, x.shape[axis] - before - after)
    return x
