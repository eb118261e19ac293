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
    """The common parameters, with padding that is wide enough for every window."""

    x: Tensor
    kernel: list[int]
    strides: list[int]
    around: Padding

    def pool(
        self, functions: Mapping[int, Callable[..., Tensor]], x: Tensor, fill: float
    ) -> Tensor:
        """Pools x, padded with a value. An average is over the whole kernel."""
        padded = F.pad(x, flat(self.around), value=fill)
        return functions[len(self.kernel)](padded, self.kernel, self.strides)


def _windows(p: Parameters) -> _Windows:
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
    mean = windows.pool(_AVERAGE, windows.x, 0)
    if not p.flag("exclude_padding_from_average", False):
        return mean
    return mean / windows.pool(_AVERAGE, torch.ones_like(windows.x), 0)


@kernel("l2_pool")
def l2_pool(p: Parameters) -> Tensor:
    """`l2_pool`: root of the sum of squares over the kernel."""
    windows = _windows(p)
    mean = windows.pool(_AVERAGE, windows.x.square(), 0)
    return torch.sqrt(mean * math.prod(windows.kernel))


@kernel("max_pool")
def max_pool(p: Parameters) -> Tensor:
    """`max_pool`: maximum over the kernel; padding never wins."""
    windows = _windows(p)
    return windows.pool(_MAXIMUM, windows.x, -math.inf)
