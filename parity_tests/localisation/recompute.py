"""Recomputes ops in float64 on the inputs of a trace, to test hypotheses about a fault.

The first axis of every array is the sample, the second the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_MAX_STRIDE = 8
_FITS = 1e-4


@dataclass(frozen=True)
class Window:
    """How a kernel slides over a map.

    Attributes:
        sides: Height and width of the kernel.
        stride: Stride of both axes.
        top: Rows of padding above; `left`, `bottom`, `right` likewise.
    """

    sides: tuple[int, int]
    stride: int
    top: int
    left: int
    bottom: int
    right: int


def windows(sides: tuple[int, int], size: tuple[int, int], out: tuple[int, int]) -> list[Window]:
    """Every window of a kernel that turns maps of one height and width into those of another.

    Symmetric padding comes first, then more of it below and right, then more of it above and left.
    """
    found = []
    for stride in range(1, _MAX_STRIDE + 1):
        for least in range(max(sides)):
            for more in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0)):
                top, bottom = least + more[0], least + more[1]
                found_out = tuple(
                    (length + top + bottom - side) // stride + 1
                    for length, side in zip(size, sides, strict=True)
                )
                if found_out == out and max(top, bottom) < max(max(sides), 2):
                    found.append(Window(sides, stride, top, top, bottom, bottom))
    return found


def convolve(maps: Values, weight: Values, window: Window) -> Values:
    """A convolution without bias; the OIHW kernel and the maps determine the groups."""
    import torch
    from torch.nn import functional

    groups = maps.shape[2] // weight.shape[1]
    padded = torch.from_numpy(_padded(maps, window, 0.0))
    made = functional.conv2d(padded, torch.from_numpy(weight), None, window.stride, 0, 1, groups)
    return _split(made.numpy(), len(maps))


def pool(maps: Values, window: Window, *, largest: bool, counts_padding: bool) -> Values:
    """Max or mean pooling of `(samples, N, C, H, W)`; a mean may count the padding."""
    import torch
    from torch.nn import functional

    if largest:
        padded = torch.from_numpy(_padded(maps, window, -np.inf))
        made = functional.max_pool2d(padded, window.sides, window.stride)
        return _split(made.numpy(), len(maps))
    ones = np.ones_like(maps)

    def mean(values: Values) -> Values:
        padded = torch.from_numpy(_padded(values, window, 0.0))
        averaged: Values = functional.avg_pool2d(padded, window.sides, window.stride).numpy()
        return averaged

    means = mean(maps)
    return _split(means if counts_padding else means / mean(ones), len(maps))


def found_window(maps: Values, weight: Values, made: Values) -> Window | None:
    """The window with which a convolution with this weight turned `maps` into `made`.

    Each channel may have been scaled and shifted since, by a batch norm or a bias.
    """
    if maps.ndim != 5 or made.ndim != 5 or weight.ndim != 4 or maps.shape[2] % weight.shape[1]:
        return None
    sides = (weight.shape[2], weight.shape[3])
    size, out = (maps.shape[3], maps.shape[4]), (made.shape[3], made.shape[4])
    for window in windows(sides, size, out):
        if residual(convolve(maps, weight, window), made) < _FITS:
            return window
    return None


def application(
    values: Values, weight: Values, made: Values
) -> Callable[[Values, Values], Values] | None:
    """How a Linear or convolution turned `values` into `made`, up to a scale and shift per channel.

    Returns:
        A function of values and weights; None if it is unknown.
    """
    if weight.ndim == 2:
        return (lambda v, w: v @ w.T) if values.shape[-1] == weight.shape[1] else None
    window = found_window(values, weight, made)
    return None if window is None else lambda v, w: convolve(v, w, window)


def per_channel(values: Values) -> Values:
    """Reshapes `(samples, N, C, ...)` to `(C, all others)`."""
    return np.moveaxis(values, 2, 0).reshape(values.shape[2], -1)


def scale_and_shift(of: Values, to: Values) -> tuple[Values, Values]:
    """The a and b per channel, `(channels,)`, for which a * of + b is closest to `to`."""
    x, y = per_channel(of), per_channel(to)
    centred = x - x.mean(1, keepdims=True)
    power = np.square(centred).sum(1)
    scale = np.divide((centred * y).sum(1), power, out=np.ones_like(power), where=power > 0)
    return scale, y.mean(1) - scale * x.mean(1)


def residual(of: Values, to: Values) -> float:
    """RMS that scaling and shifting each channel leave, relative to the deviation within them."""
    scale, shift = scale_and_shift(of, to)
    y = per_channel(to)
    left = y - scale[:, None] * per_channel(of) - shift[:, None]
    spread = np.square(y - y.mean(1, keepdims=True)).mean()
    return float(np.sqrt(np.square(left).mean() / spread)) if spread > 0 else 0.0


def along(vector: Values, like: Values) -> Values:
    """One value per channel, shaped to broadcast with `(samples, N, C, ...)`."""
    return vector.reshape(1, 1, -1, *([1] * (like.ndim - 3)))


def orders(values: Values) -> Iterator[tuple[str, Values]]:
    """Flattens `(samples, N, C, H, W)` to `(samples, N, C*H*W)` in both usual orders."""
    flat = (*values.shape[:2], -1)
    yield "CHW", values.reshape(flat)
    yield "HWC", np.moveaxis(values, 2, -1).reshape(flat)


def _padded(maps: Values, window: Window, filler: float) -> Values:
    merged = maps.reshape(-1, *maps.shape[2:])
    sides = ((0, 0), (0, 0), (window.top, window.bottom), (window.left, window.right))
    return np.ascontiguousarray(np.pad(merged, sides, constant_values=filler))


def _split(merged: Values, samples: int) -> Values:
    return merged.reshape(samples, -1, *merged.shape[1:])


def found_pool_window(maps: Values, made: Values, *, largest: bool) -> Window | None:
    """The unpadded window with which a pool made these maps; its stride is its side, as usual."""
    if maps.ndim != 5 or made.ndim != 5 or made.shape[3] < 1:
        return None
    height, width = maps.shape[3:]
    for side in range(1, height + 1):
        window = Window((side, side), side, 0, 0, 0, 0)
        if (height // side, width // side) != made.shape[3:]:
            continue
        again = pool(maps, window, largest=largest, counts_padding=False)
        if np.allclose(again, made, rtol=1e-4, atol=1e-4 * float(np.abs(made).max())):
            return window
    return None
