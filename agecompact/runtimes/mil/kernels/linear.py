"""Matrix products: MIL's `linear` family. Sums stay in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.mil.parameters import Parameters
from agecompact.runtimes.mil.registry import kernel


@kernel("linear")
def linear(p: Parameters) -> Tensor:
    """`linear`: x `(..., D_in)` times weight `(D_out, D_in)` transposed, plus bias."""
    x, bias = p.tensor("x"), p.optional("bias")
    # Since iOS 17 the weights may have another type than x. The result has the type of x.
    product = x @ p.tensor("weight").T.to(x.dtype)
    return product if bias is None else product + bias.to(x.dtype)


@kernel("matmul")
def matmul(p: Parameters) -> Tensor:
    """`matmul`: as in NumPy; the last two axes of either operand can be transposed first."""
    x, y = p.tensor("x"), p.tensor("y")
    if p.flag("transpose_x", False) and x.ndim > 1:
        x = x.transpose(-1, -2)
    if p.flag("transpose_y", False) and y.ndim > 1:
        y = y.transpose(-1, -2)
    wide = torch.promote_types(x.dtype, y.dtype)
    product = torch.matmul(x.to(wide), y.to(wide))
    # Since iOS 17 one operand may be a constant of another type. The result has the other's type.
    return product.long() if p.declared[0].dtype.kind == "int" else product


@kernel("einsum")
def einsum(p: Parameters) -> Tensor:
    """`einsum` of two tensors: `nchw,nwhu->nchu` or `chw,whr->chr`, in any letters."""
    values = p.tensors("values")
    equations = ("nchw,nwhu->nchu", "chw,whr->chr")
    equation = p.text("equation").replace(" ", "")
    if _pattern(equation) not in {_pattern(known) for known in equations}:
        raise UsageError(
            f"einsum of '{equation}' is not supported", why=f"MIL has {' and '.join(equations)}"
        )
    return torch.einsum(equation, *values)


def _pattern(equation: str) -> tuple[int | str, ...]:
    letters: dict[str, int] = {}
    return tuple(
        letters.setdefault(sign, len(letters)) if sign.isalpha() else sign for sign in equation
    )


@kernel("scaled_dot_product_attention")
def attention(p: Parameters) -> Tensor:
    """`scaled_dot_product_attention` of iOS 18: softmax(Q K^T / sqrt(E) + mask) V, batch first."""
    query, key, value = p.tensor("query"), p.tensor("key"), p.tensor("value")
    mask = p.optional("attn_mask")
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if mask is not None:
        # True entries take part.
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    return torch.softmax(scores, -1) @ value
