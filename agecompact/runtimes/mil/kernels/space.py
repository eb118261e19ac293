"""Between channels, space and batch of `(N, C, H, W)`: MIL's `tensor_transformation`."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel


@kernel("depth_to_space")
def depth_to_space(p: Parameters) -> Tensor:
    """`depth_to_space`: the position in the block is the slow part of the channel."""
    x, block = p.tensor("x"), p.integer("block_size")
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)


@kernel("space_to_depth")
def space_to_depth(p: Parameters) -> Tensor:
    """`space_to_depth`: the position in the block becomes the slow part of the channel."""
    x, block = p.tensor("x"), p.integer("block_size")
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)


@kernel("pixel_shuffle")
def pixel_shuffle(p: Parameters) -> Tensor:
    """`pixel_shuffle`: the position in the block is the fast part of the channel."""
    return F.pixel_shuffle(p.tensor("x"), p.integer("upscale_factor"))


@kernel("pixel_unshuffle")
def pixel_unshuffle(p: Parameters) -> Tensor:
    """`pixel_unshuffle`: the position in the block becomes the fast part of the channel."""
    return F.pixel_unshuffle(p.tensor("x"), p.integer("downscale_factor"))


@kernel("space_to_batch")
def space_to_batch(p: Parameters) -> Tensor:
    """`space_to_batch`: the position in the block becomes the slow part of the batch."""
    x, (high, wide) = p.tensor("x"), p.ints("block_shape")
    top, bottom, left, right = p.ints("paddings")
    x = F.pad(x, (left, right, top, bottom))
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // high, high, w // wide, wide)
    return parts.permute(3, 5, 0, 1, 2, 4).reshape(n * high * wide, c, h // high, w // wide)


@kernel("batch_to_space")
def batch_to_space(p: Parameters) -> Tensor:
    """`batch_to_space`: the position in the block is the slow part of the batch."""
    x, (high, wide) = p.tensor("x"), p.ints("block_shape")
    top, bottom, left, right = p.ints("crops")
    n, c, h, w = x.shape
    parts = x.reshape(high, wide, n // (high * wide), c, h, w)
    whole = parts.permute(2, 3, 4, 0, 5, 1).reshape(n // (high * wide), c, h * high, w * wide)
    return whole[:, :, top : h * high - bottom, left : w * wide - right]
