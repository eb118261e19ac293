"""Padding and output sizes of sliding windows, for convolution and pooling.

Source: MIL's `conv` and `pool`, and their type inference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

PAD_TYPES = ("valid", "custom", "same", "same_lower")

# Elements before and after, per spatial axis.
Padding = list[tuple[int, int]]


def padding(
    pad_type: str,
    custom: Sequence[int],
    sizes: Sequence[int],
    windows: Sequence[int],
    strides: Sequence[int],
) -> Padding:
    """The padding of each spatial axis.

    Args:
        pad_type: One of `PAD_TYPES`.
        custom: Before and after, axis by axis; used for `custom` only.
        sizes: Of the spatial axes of the input.
        windows: Sizes of the kernel, dilation included.
        strides: Steps.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        return [(custom[2 * axis], custom[2 * axis + 1]) for axis in range(len(sizes))]
    found: Padding = []
    for size, window, stride in zip(sizes, windows, strides, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + window - size)
        less, more = total // 2, total - total // 2
        # An odd element goes after for `same`, before for `same_lower`.
        found.append((more, less) if pad_type == "same_lower" else (less, more))
    return found


def pooled_size(size: int, window: int, stride: int, around: tuple[int, int], ceil: bool) -> int:
    """Size of a pooled axis.

    Args:
        size: Of the input.
        window: Size of the kernel.
        stride: Step.
        around: Padding.
        ceil: Whether the last window may extend beyond the padding. It must start inside the input
            or the padding before it.
    """
    before, after = around
    room = size + before + after - window
    if not ceil:
        return room // stride + 1
    count = (room + stride - 1) // stride + 1
    if (count - 1) * stride >= size + before and before + after > 0:
        count -= 1
    return count


def flat(around: Padding) -> list[int]:
    """Padding in the order of torch: last axis first."""
    return [amount for pair in reversed(around) for amount in pair]
