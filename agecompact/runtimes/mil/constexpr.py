"""Decompresses constants: MIL's `constexpr_*` ops.

The parameters of iOS 16 are flat and packed. Those of iOS 18 have element types below 8 bits and
blocks of any shape. Some names mean one op in iOS 16 and another in iOS 18; their parameters tell
which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.blobs import unpack
from agecompact.runtimes.mil.program import Op
from agecompact.runtimes.mil.tensor_types import BY_NAME, ConstantValue, DType, TensorType

PREFIX = "constexpr_"

# Constants by parameter name.
Parts = Mapping[str, ConstantValue]

_Decompressor = Callable[[Parts], tuple[ConstantValue, ...]]
# By op and by names of its parameters.
_DECOMPRESSORS: dict[tuple[str, frozenset[str]], _Decompressor] = {}


def decompress(op: Op, parts: Parts) -> tuple[ConstantValue, ...]:
    """Decompresses a constant.

    Args:
        op: The `constexpr_*` op.
        parts: Its parameters.

    Returns:
        One value per output of the op.

    Raises:
        UsageError: The compression is unknown, or its parameters contradict each other.
    """
    function = _DECOMPRESSORS.get((op.kind, frozenset(parts)))
    if function is None:
        raise UsageError(
            f"{op} is a compression that the reference runtime does not support",
            why=f"its parameters are {', '.join(sorted(parts))}",
            fix="add it to agecompact/runtimes/mil/constexpr.py",
        )
    try:
        return function(parts)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise UsageError(f"{op} cannot be decompressed", why=str(error)) from None


def _decompresses(
    kind: str, required: str, optional: str = ""
) -> Callable[[_Decompressor], _Decompressor]:
    """Registers the function for an op with these parameters."""
    names = frozenset(required.split())

    def register(function: _Decompressor) -> _Decompressor:
        for each in (names, names | {*optional.split()}):
            _DECOMPRESSORS[PREFIX + kind, each] = function
        return function

    return register


def _dense(dtype: DType, value: Array) -> ConstantValue:
    return ConstantValue(TensorType(dtype, value.shape), np.asarray(value, dtype.numpy))


@_decompresses("affine_dequantize", "quantized_data zero_point scale axis")
def affine_dequantize(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_affine_dequantize`: scale * (quantized_data - zero_point), along one axis."""
    data = p["quantized_data"].array
    shape = [1] * data.ndim
    if data.ndim:
        shape[int(p["axis"].array)] = -1
    # In float32 first, as coremltools does, so that int8 differences do not wrap.
    zero_point, scale = (
        p[name].array.astype(np.float32).reshape(shape) for name in ("zero_point", "scale")
    )
    dense = (data.astype(np.float32) - zero_point) * scale
    return (_dense(p["scale"].type.dtype, dense),)


@_decompresses("lut_to_dense", "indices lut shape")
def lut_to_dense_flat(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_lut_to_dense` of iOS 16: one palette, with indices packed in bytes."""
    lut, shape = p["lut"].array, tuple(int(size) for size in p["shape"].array)
    bits = int(math.log2(lut.size))
    packed = BY_NAME.get(f"uint{bits}")
    if packed is None or 1 << bits != lut.size:
        raise ValueError(f"its palette has {lut.size} entries, which is not supported")
    elements = math.prod(shape)
    content = p["indices"].array.tobytes()
    if len(content) != math.ceil(elements * bits / 8):
        raise ValueError(f"it has {len(content)} bytes of indices for {elements} elements")
    indices = unpack(content, packed, elements)
    return (_dense(p["lut"].type.dtype, lut[indices].reshape(shape)),)


@_decompresses("sparse_to_dense", "nonzero_data mask shape")
def sparse_to_dense_flat(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_sparse_to_dense` of iOS 16: a mask packed in bytes, and the nonzero values."""
    shape = tuple(int(size) for size in p["shape"].array)
    bits = np.unpackbits(p["mask"].array.astype(np.uint8), bitorder="little")
    elements = math.prod(shape)
    if bits.size != math.ceil(elements / 8) * 8 or bits[elements:].any():
        raise ValueError(f"it has a mask of {bits.size} bits for {elements} elements")
    return (_fill_mask(bits[:elements].reshape(shape), p["nonzero_data"]),)


@_decompresses("cast", "source_val output_dtype")
def cast(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_cast`: float16 to float32."""
    name = p["output_dtype"].value
    if name != "fp32":
        raise ValueError(f"it casts to {name}, not to fp32")
    return (_dense(BY_NAME["fp32"], p["source_val"].array.astype(np.float32)),)


def _fill_mask(mask: Array, kept: ConstantValue) -> ConstantValue:
    """A tensor with the kept values where the mask is 1, and zeros elsewhere."""
    dense = np.zeros(mask.shape, kept.type.dtype.numpy)
    if kept.array.shape != (int(np.count_nonzero(mask)),):
        raise ValueError(f"its mask has {np.count_nonzero(mask)} ones for {kept.type}")
    dense[mask != 0] = kept.array
    return _dense(kept.type.dtype, dense)


def _spread_blocks(value: Array, shape: tuple[int, ...]) -> Array:
    """Repeats each element over its block, so that `value` gets `shape`."""
    for axis, length in enumerate(_block_lengths(shape, value.shape)):
        value = np.repeat(value, length, axis)
    return value


def _block_lengths(shape: tuple[int, ...], blocks: tuple[int, ...]) -> list[int]:
    """Length of a block along each axis, from the number of blocks."""
    if any(n == 0 or size % n for size, n in zip(shape, blocks, strict=True)):
        raise ValueError(f"{blocks} blocks do not divide a tensor of shape {shape}")
    return [size // n for size, n in zip(shape, blocks, strict=True)]


@_decompresses("blockwise_shift_scale", "data scale", "offset")
def blockwise_shift_scale(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_blockwise_shift_scale`: scale * (data - offset), both per block."""
    data, scale = p["data"].array, p["scale"]
    if data.ndim != scale.array.ndim:
        raise ValueError(f"its data have rank {data.ndim}, its scale {scale.array.ndim}")
    dtype = scale.type.dtype.numpy
    shifted = data.astype(dtype)
    if "offset" in p:
        shifted = shifted - _spread_blocks(p["offset"].array, data.shape).astype(dtype)
    return (_dense(scale.type.dtype, _spread_blocks(scale.array, data.shape) * shifted),)


def _look_up(indices: Array, lut: Array, axis: int | None) -> Array:
    """Looks up palette entries, which are numbers or vectors.

    Args:
        indices: Of any shape.
        lut: Palettes: an axis per axis of the indices, which counts blocks, then one that counts
            entries and one for the vector.
        axis: Along which the elements of a vector are laid out; None if entries are numbers.
    """
    if lut.ndim != indices.ndim + 2:
        raise ValueError(f"its palette has rank {lut.ndim}, its indices {indices.ndim}")
    lengths = _block_lengths(indices.shape, lut.shape[:-2])
    blocks = np.ix_(*(np.arange(n) // m for n, m in zip(indices.shape, lengths, strict=True)))
    vectors: Array = lut[(*blocks, indices)]
    length = lut.shape[-1]
    if length == 1:
        return vectors[..., 0]
    if axis is None:
        raise ValueError("its palette has vectors, but no axis for them")
    axis %= indices.ndim
    moved = np.moveaxis(vectors, -1, axis + 1)
    shape = [size * length if i == axis else size for i, size in enumerate(indices.shape)]
    return moved.reshape(shape)


def _axis(p: Parts) -> int | None:
    return int(p["vector_axis"].array) if "vector_axis" in p else None


@_decompresses("lut_to_dense", "indices lut", "vector_axis")
def lut_to_dense(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_lut_to_dense` of iOS 18: one palette per block."""
    dense = _look_up(p["indices"].array, p["lut"].array, _axis(p))
    return (_dense(p["lut"].type.dtype, dense),)


@_decompresses("sparse_to_dense", "nonzero_data mask")
def sparse_to_dense(p: Parts) -> tuple[ConstantValue]:
    """`constexpr_sparse_to_dense` of iOS 18: the mask has the tensor's shape."""
    return (_fill_mask(p["mask"].array, p["nonzero_data"]),)


@_decompresses("lut_to_sparse", "indices_mask indices_nonzero_data lut", "vector_axis")
def lut_to_sparse(p: Parts) -> tuple[ConstantValue, ConstantValue]:
    """`constexpr_lut_to_sparse`: a mask, and indices of the nonzero values; returns both."""
    mask = p["indices_mask"]
    indices = _fill_mask(mask.array, p["indices_nonzero_data"]).array
    dense = _look_up(indices, p["lut"].array, _axis(p))
    axis, length = _axis(p), p["lut"].array.shape[-1]
    wide = mask.array if axis is None else np.repeat(mask.array, length, axis)
    return _dense(mask.type.dtype, wide), _dense(p["lut"].type.dtype, dense[wide != 0])


@_decompresses("sparse_blockwise_shift_scale", "data_mask nonzero_data scale", "offset")
def sparse_blockwise_shift_scale(p: Parts) -> tuple[ConstantValue, ConstantValue]:
    """`constexpr_sparse_blockwise_shift_scale`: a mask, and the quantised nonzero values."""
    mask = p["data_mask"]
    data = _fill_mask(mask.array, p["nonzero_data"])
    rest = {name: p[name] for name in ("scale", "offset") if name in p}
    (dense,) = blockwise_shift_scale({"data": data, **rest})
    return mask, _dense(dense.type.dtype, dense.array[mask.array != 0])
