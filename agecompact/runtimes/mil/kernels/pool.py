"""Pooling: MIL's `avg_pool`, `max_pool` and `l2_pool`.

With `ceil_mode`, a window may extend beyond the padding. What it covers there counts as padding:
MIL divides by the size of the whole kernel, PyTorch does not (coremltools issue 2772).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from agecompact.runtimes.mil.kernels.windows import PAD_TYPES, Padding, flat, padding, pooled_size
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_AVERAGE: Mapping[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMUM: Mapping[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class _Windows:
    x: Tensor
    kernel: list[int]
    strides: list[int]
    around: Padding

    @property
    def spatial(self) -> int:
        return len(self.kernel)

    def mean(self, x: Tensor) -> Tensor:
        """Sums of the windows of x, padded with zeros, divided by the size of the kernel."""
        return _AVERAGE[self.spatial](F.pad(x, flat(self.around)), self.kernel, self.strides)


def _windows(p: Parameters) -> _Windows:
    """Reads the common parameters, and widens the padding so that it covers every window."""
    x, sizes = p.tensor("x"), p.ints("kernel_sizes")
    spatial = x.ndim - 2
    strides = p.ints("strides", [1] * spatial)
    pad_type = p.text("pad_type", PAD_TYPES, "valid")
    custom = p.ints("pad", [0] * (2 * spatial))
    ceil = p.flag("ceil_mode", False)
    around = padding(pad_type, custom, x.shape[2:], sizes, strides)
    wide: Padding = []
    for size, window, stride, pair in zip(x.shape[2:], sizes, strides, around, strict=True):
        count = pooled_size(size, window, stride, pair, ceil)
        reach = (count - 1) * stride + window
        wide.append((pair[0], reach - size - pair[0]))
    return _Windows(x, sizes, strides, wide)


@kernel("avg_pool")
def avg_pool(p: Parameters) -> Tensor:
    """`avg_pool`: mean over the kernel, or over the part of it that is inside the input."""
    windows = _windows(p)
    mean = windows.mean(windows.x)
    if not p.flag("exclude_padding_from_average", False):
        return mean
    return mean / windows.mean(torch.ones_like(windows.x))


@kernel("l2_pool")
def l2_pool(p: Parameters) -> Tensor:
    """`l2_pool`: root of the sum of squares over the kernel."""
    windows = _windows(p)
    return torch.sqrt(windows.mean(windows.x.square()) * math.prod(windows.kernel))


@kernel("max_pool")
def max_pool(p: Parameters) -> Tensor:
    """`max_pool`: maximum over the kernel; padding never wins."""
    windows = _windows(p)
    padded = F.pad(windows.x, flat(windows.around), value=-math.inf)
    return _MAXIMUM[windows.spatial](padded, windows.kernel, windows.strides)
