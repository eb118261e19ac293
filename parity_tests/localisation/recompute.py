"""Ops done again, in float64, on the inputs of a trace: so hypotheses about a fault are tried.

All arrays carry the samples on a first axis, before the batch's.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        stride: Of both axes.
        top: Rows of padding above; `left`, `bottom`, `right` likewise.
    """

    sides: tuple[int, int]
    stride: int
    top: int
    left: int
    bottom: int
    right: int


def windows(sides: tuple[int, int], given: tuple[int, int], made: tuple[int, int]) -> list[Window]:
    """Every window of a kernel that turns maps of one height and width into those of another.

    Even padding comes first, then more of it below and on the right, then above and on the left.
    """
    found = []
    for stride in range(1, _MAX_STRIDE + 1):
        for least in range(max(sides)):
            for more in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0)):
                top, bottom = least + more[0], least + more[1]
                outs = [
                    (size + top + bottom - side) // stride + 1
                    for size, side in zip(given, sides, strict=True)
                ]
                if tuple(outs) == made and max(top, bottom) < max(max(sides), 2):
                    found.append(Window(sides, stride, top, top, bottom, bottom))
    return found


def convolve(maps: Values, weight: Values, window: Window) -> Values:
    """A convolution without bias; groups follow from the channels of maps and kernel, OIHW."""
    import torch
    from torch.nn import functional

    groups = maps.shape[2] // weight.shape[1]
    padded = torch.from_numpy(_padded(maps, window, 0.0))
    made = functional.conv2d(padded, torch.from_numpy(weight), None, window.stride, 0, 1, groups)
    return _split(made.numpy(), len(maps))


def pool(maps: Values, window: Window, *, largest: bool, counts_padding: bool) -> Values:
    """A pool of `(samples, N, C, H, W)`: the largest value, or the mean with or without padding."""
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
    """The window by which a convolution of this weight made these maps.

    Each channel may have been scaled and shifted since, as a batch norm or a bias does.
    """
    if maps.ndim != 5 or made.ndim != 5 or weight.ndim != 4 or maps.shape[2] % weight.shape[1]:
        return None
    sides = (weight.shape[2], weight.shape[3])
    given, size = (maps.shape[3], maps.shape[4]), (made.shape[3], made.shape[4])
    for window in windows(sides, given, size):
        if residual(convolve(maps, weight, window), made) < _FITS:
            return window
    return None


def per_channel(values: Values) -> Values:
    """`(channels, the rest)` of `(samples, N, C, ...)`."""
    return np.moveaxis(values, 2, 0).reshape(values.shape[2], -1)


def scale_and_shift(of: Values, to: Values) -> tuple[Values, Values]:
    """Per channel the a and b for which a * of + b comes nearest to `to`, both `(channels,)`."""
    x, y = per_channel(of), per_channel(to)
    centred = x - x.mean(1, keepdims=True)
    power = np.square(centred).sum(1)
    scale = np.divide((centred * y).sum(1), power, out=np.ones_like(power), where=power > 0)
    return scale, y.mean(1) - scale * x.mean(1)


def residual(of: Values, to: Values) -> float:
    """What scale and shift by channel leave unexplained, in units of the spread within them."""
    scale, shift = scale_and_shift(of, to)
    y = per_channel(to)
    left = y - scale[:, None] * per_channel(of) - shift[:, None]
    spread = np.square(y - y.mean(1, keepdims=True)).mean()
    return float(np.sqrt(np.square(left).mean() / spread)) if spread > 0 else 0.0


def along(vector: Values, like: Values) -> Values:
    """A value a channel, shaped to go with `(samples, N, C, ...)`."""
    return vector.reshape(1, 1, -1, *([1] * (like.ndim - 3)))


def orders(values: Values) -> Iterator[tuple[str, Values]]:
    """Maps `(samples, N, C, H, W)` flattened to `(samples, N, C*H*W)` in both usual orders."""
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
    """The unpadded window by which a pool made these maps: stride and sides alike, as is usual."""
    if maps.ndim != 5 or made.ndim != 5 or made.shape[3] < 1:
        return None
    for side in range(1, maps.shape[3] + 1):
        window = Window((side, side), side, 0, 0, 0, 0)
        if ((maps.shape[3] - side) // side + 1, (maps.shape[4] - side) // side + 1) != made.shape[
            3:
        ]:
            continue
        again = pool(maps, window, largest=largest, counts_padding=False)
        if np.allclose(again, made, rtol=1e-4, atol=1e-4 * float(np.abs(made).max())):
            return window
    return None
