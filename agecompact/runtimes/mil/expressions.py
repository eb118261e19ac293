"""Decompresses constants that are stored as expressions, MIL's `constexpr_*` ops.

Those of iOS 16 have flat, packed parameters; those of iOS 18 elements of less than 8 bits, and
blocks of any shape. iOS 16 and 18 call different expressions by the same name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.blobs import unpack
from agecompact.runtimes.mil.decoded import Decoded, Parameters
from agecompact.runtimes.mil.dtypes import BY_NAME, DType
from agecompact.runtimes.mil.program import Op, TensorType

PREFIX = "constexpr_"


def decompress(op: Op, parameters: Parameters) -> tuple[Decoded, ...]:
    """What an expression makes.

    Args:
        op: The `constexpr_*` op.
        parameters: Its constants, by parameter.

    Returns:
        One value an output of the op.

    Raises:
        UsageError: The expression is not known, or its parameters do not fit each other.
    """
    form = _FORMS.get((op.kind, frozenset(parameters)))
    if form is None:
        raise UsageError(
            f"{op} is a compression that the reference runtime does not know",
            why=f"its parameters are {', '.join(sorted(parameters))}",
        )
    try:
        return form(parameters)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise UsageError(f"{op} cannot be decompressed", why=str(error)) from None


def _dense(dtype: DType, value: Array) -> Decoded:
    return Decoded(TensorType(dtype, value.shape), np.asarray(value, dtype.numpy))


def affine_dequantize(p: Parameters) -> tuple[Decoded]:
    """`constexpr_affine_dequantize`: scale * (quantized_data - zero_point), along one axis."""
    data, scale = p["quantized_data"].array, p["scale"].array
    shape = [1] * data.ndim
    if max(scale.ndim, p["zero_point"].array.ndim):
        shape[int(p["axis"].array)] = -1
    zero_point = p["zero_point"].array

    def spread(value: Array) -> Array:
        return value.reshape(shape) if value.ndim else value

    # In float32 first, as coremltools does, so that int8 differences do not wrap.
    dense = (data.astype(np.float32) - spread(zero_point).astype(np.float32)) * spread(
        scale
    ).astype(np.float32)
    return (_dense(p["scale"].type.dtype, dense),)


def lut_to_dense_flat(p: Parameters) -> tuple[Decoded]:
    """`constexpr_lut_to_dense` of iOS 16: indices packed in bytes, one palette."""
    lut, shape = p["lut"].array, tuple(int(size) for size in p["shape"].array)
    bits = int(math.log2(lut.size))
    packed = BY_NAME.get(f"uint{bits}")
    if packed is None or 1 << bits != lut.size:
        raise ValueError(f"a palette of {lut.size} entries")
    elements = math.prod(shape)
    content = p["indices"].array.tobytes()
    if len(content) != math.ceil(elements * bits / 8):
        raise ValueError(f"{len(content)} bytes of indices for {elements} elements")
    indices = unpack(content, packed, elements)
    return (_dense(p["lut"].type.dtype, lut[indices].reshape(shape)),)


def sparse_to_dense_flat(p: Parameters) -> tuple[Decoded]:
    """`constexpr_sparse_to_dense` of iOS 16: a mask packed in bytes, and what it keeps."""
    shape = tuple(int(size) for size in p["shape"].array)
    bits = np.unpackbits(p["mask"].array.astype(np.uint8), bitorder="little")
    elements = math.prod(shape)
    if bits.size != math.ceil(elements / 8) * 8 or bits[elements:].any():
        raise ValueError(f"a mask of {bits.size} bits for {elements} elements")
    return (_fill_mask(bits[:elements].reshape(shape), p["nonzero_data"]),)


def cast(p: Parameters) -> tuple[Decoded]:
    """`constexpr_cast`: float16 stored, float32 meant."""
    name = p["output_dtype"].value
    if name != "fp32":
        raise ValueError(f"a cast to {name}")
    return (_dense(BY_NAME["fp32"], p["source_val"].array.astype(np.float32)),)


def _fill_mask(mask: Array, kept: Decoded) -> Decoded:
    dense = np.zeros(mask.shape, kept.type.dtype.numpy)
    if kept.array.shape != (int(np.count_nonzero(mask)),):
        raise ValueError(f"a mask of {np.count_nonzero(mask)} ones for {kept.type}")
    dense[mask != 0] = kept.array
    return _dense(kept.type.dtype, dense)


def _spread_blocks(value: Array, shape: tuple[int, ...]) -> Array:
    """Repeats each element over its block, so that `value` gets `shape`; leading axes only."""
    for axis, size in enumerate(shape):
        if value.shape[axis] == 0 or size % value.shape[axis]:
            raise ValueError(f"blocks of {value.shape} do not divide {shape}")
        value = np.repeat(value, size // value.shape[axis], axis)
    return value


def blockwise_shift_scale(p: Parameters) -> tuple[Decoded]:
    """`constexpr_blockwise_shift_scale`: scale * (data - offset), one of each per block."""
    data, scale = p["data"].array, p["scale"]
    if data.ndim != scale.array.ndim:
        raise ValueError(f"data of rank {data.ndim}, scale of rank {scale.array.ndim}")
    dtype = scale.type.dtype.numpy
    shifted = data.astype(dtype)
    if "offset" in p:
        shifted = shifted - _spread_blocks(p["offset"].array, data.shape).astype(dtype)
    return (_dense(scale.type.dtype, _spread_blocks(scale.array, data.shape) * shifted),)


def _look_up(indices: Array, lut: Array, axis: int | None) -> Array:
    """Palette vectors for indices: `lut` is (one axis per axis of indices..., entries, length)."""
    if lut.ndim != indices.ndim + 2:
        raise ValueError(f"a palette of rank {lut.ndim} for indices of rank {indices.ndim}")
    places = []
    for i, size in enumerate(indices.shape):
        if lut.shape[i] == 0 or size % lut.shape[i]:
            raise ValueError(f"palettes of {lut.shape} do not divide {indices.shape}")
        block = np.arange(size) // (size // lut.shape[i])
        places.append(block.reshape([-1 if j == i else 1 for j in range(indices.ndim)]))
    vectors: Array = lut[(*places, indices)]
    length = lut.shape[-1]
    if length == 1:
        return vectors[..., 0]
    if axis is None:
        raise ValueError("a palette of vectors without their axis")
    # The vector's elements lie one after another along its axis.
    axis %= indices.ndim
    moved = np.moveaxis(vectors, -1, axis + 1)
    shape = [size * length if i == axis else size for i, size in enumerate(indices.shape)]
    return moved.reshape(shape)


def _axis(p: Parameters) -> int | None:
    return int(p["vector_axis"].array) if "vector_axis" in p else None


def lut_to_dense(p: Parameters) -> tuple[Decoded]:
    """`constexpr_lut_to_dense` of iOS 18: a palette per block, of numbers or of vectors."""
    dense = _look_up(p["indices"].array, p["lut"].array, _axis(p))
    return (_dense(p["lut"].type.dtype, dense),)


def sparse_to_dense(p: Parameters) -> tuple[Decoded]:
    """`constexpr_sparse_to_dense` of iOS 18: the mask has the tensor's shape."""
    return (_fill_mask(p["mask"].array, p["nonzero_data"]),)


def lut_to_sparse(p: Parameters) -> tuple[Decoded, Decoded]:
    """`constexpr_lut_to_sparse`: a mask, and palette entries of what it keeps."""
    mask = p["indices_mask"]
    indices = _fill_mask(mask.array, p["indices_nonzero_data"]).array
    dense = _look_up(indices, p["lut"].array, _axis(p))
    wide = mask.array
    axis, length = _axis(p), p["lut"].array.shape[-1]
    if axis is not None:
        wide = np.repeat(wide, length, axis)
    return _dense(mask.type.dtype, wide), _dense(p["lut"].type.dtype, dense[wide != 0])


def sparse_blockwise_shift_scale(p: Parameters) -> tuple[Decoded, Decoded]:
    """`constexpr_sparse_blockwise_shift_scale`: a mask, and what it keeps dequantized."""
    mask = p["data_mask"]
    data = _fill_mask(mask.array, p["nonzero_data"])
    rest = {name: p[name] for name in ("scale", "offset") if name in p}
    (dense,) = blockwise_shift_scale({"data": data, **rest})
    return mask, _dense(dense.type.dtype, dense.array[mask.array != 0])


_Form = Callable[[Parameters], tuple[Decoded, ...]]


def _forms(
    kind: str, form: _Form, required: str, optional: str = ""
) -> dict[tuple[str, frozenset[str]], _Form]:
    needed = frozenset(required.split())
    variants = {needed, needed | frozenset(optional.split())}
    return {(PREFIX + kind, names): form for names in variants}


_FORMS: Mapping[tuple[str, frozenset[str]], _Form] = {
    **_forms("affine_dequantize", affine_dequantize, "quantized_data zero_point scale axis"),
    **_forms("lut_to_dense", lut_to_dense_flat, "indices lut shape"),
    **_forms("lut_to_dense", lut_to_dense, "indices lut", "vector_axis"),
    **_forms("sparse_to_dense", sparse_to_dense_flat, "nonzero_data mask shape"),
    **_forms("sparse_to_dense", sparse_to_dense, "nonzero_data mask"),
    **_forms("cast", cast, "source_val output_dtype"),
    **_forms("blockwise_shift_scale", blockwise_shift_scale, "data scale", "offset"),
    **_forms(
        "lut_to_sparse", lut_to_sparse, "indices_mask indices_nonzero_data lut", "vector_axis"
    ),
    **_forms(
        "sparse_blockwise_shift_scale",
        sparse_blockwise_shift_scale,
        "data_mask nonzero_data scale",
        "offset",
    ),
}
