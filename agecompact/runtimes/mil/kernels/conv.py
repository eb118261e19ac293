"""Convolutions: MIL's `conv` and `conv_transpose`. Sums stay in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional as F

from agecompact.errors import UsageError
from agecompact.runtimes.mil.kernels.axes import CHANNELS, along
from agecompact.runtimes.mil.kernels.windows import PAD_TYPES, flat, padding
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel

_CONV: Mapping[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: Mapping[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


@kernel("conv")
def conv(p: Parameters) -> Tensor:
    """`conv`: x `(N, C, ...)` with 1 to 3 spatial axes, weight `(C_out, C / groups, ...)`."""
    x, weight = p.tensor("x"), p.tensor("weight")
    spatial = x.ndim - 2
    ones = [1] * spatial
    strides, dilations = p.ints("strides", ones), p.ints("dilations", ones)
    windows = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    pad_type = p.text("pad_type", PAD_TYPES, "valid")
    custom = p.ints("pad", [0] * (2 * spatial))
    around = padding(pad_type, custom, x.shape[2:], windows, strides)
    groups, bias = p.integer("groups", 1), p.optional("bias")
    symmetric = all(before == after for before, after in around)
    padded = x if symmetric else F.pad(x, flat(around))
    inside = [before for before, _ in around] if symmetric else 0
    return _CONV[spatial](padded, weight, bias, strides, inside, dilations, groups)


@kernel("conv_transpose")
def conv_transpose(p: Parameters) -> Tensor:
    """`conv_transpose`: x `(N, C, ...)`, weight `(C, C_out / groups, ...)`.

    The full result is computed and then cropped: by `pad` for `custom`, around the centre to stride
    times the input size for `same`. Zeros are appended if `output_shape` is larger.
    """
    x, weight = p.tensor("x"), p.tensor("weight")
    spatial = x.ndim - 2
    ones = [1] * spatial
    strides, dilations = p.ints("strides", ones), p.ints("dilations", ones)
    pad_type = p.text("pad_type", ("valid", "custom", "same"), "valid")
    custom = p.ints("pad", [0] * (2 * spatial))
    wanted = p.ints("output_shape", [])[2:]
    groups, bias = p.integer("groups", 1), p.optional("bias")
    full = _TRANSPOSED[spatial](x, weight, None, strides, 0, 0, groups, dilations)
    for axis in range(spatial):
        size = full.shape[axis + 2]
        before, after = 0, 0
        if pad_type == "custom":
            before, after = custom[2 * axis], custom[2 * axis + 1]
        elif pad_type == "same":
            total = size - (wanted[axis] if wanted else x.shape[axis + 2] * strides[axis])
            before, after = total // 2, total - total // 2
        length = wanted[axis] if wanted else size - before - after
        if length <= 0:
            raise UsageError(f"the output of a transposed convolution is empty along axis {axis}")
        around = [(0, 0)] * spatial
        around[axis] = (max(0, -before), max(0, before + length - size))
        full = F.pad(full, flat(around)).narrow(axis + 2, max(0, before), length)
    return full if bias is None else full + along(bias, CHANNELS, full.ndim)
