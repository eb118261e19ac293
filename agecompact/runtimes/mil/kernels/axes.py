"""Broadcasting along one axis, which several families of kernels share."""

from __future__ import annotations

from torch import Tensor

# Axis of the channels in `(N, C, ...)`.
CHANNELS = 1


def along(value: Tensor, axis: int, rank: int) -> Tensor:
    """Shapes a vector for broadcasting.

    Args:
        value: A vector, or a scalar, which is returned as it is.
        axis: The axis of the result that has the elements of the vector.
        rank: Of the result.
    """
    if value.ndim == 0:
        return value
    return value.reshape([-1 if i == axis % rank else 1 for i in range(rank)])
