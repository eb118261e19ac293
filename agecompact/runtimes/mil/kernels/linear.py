"""Matrix products, as MIL's `linear` family defines them. Sums are kept in float32."""

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
    # Since iOS 17 weights may be of another type than x, whose type the result has.
    product = x @ p.tensor("weight").T.to(x.dtype)
    return product if bias is None else product + bias.to(x.dtype)


@kernel("matmul")
def matmul(p: Parameters) -> Tensor:
    """`matmul`: NumPy's, either side transposed in its last two axes first."""
    x, y = p.tensor("x"), p.tensor("y")
    if p.flag("transpose_x", False) and x.ndim > 1:
        x = x.transpose(-1, -2)
    if p.flag("transpose_y", False) and y.ndim > 1:
        y = y.transpose(-1, -2)
    wide = torch.promote_types(x.dtype, y.dtype)
    product = torch.matmul(x.to(wide), y.to(wide))
    # Since iOS 17 a constant may be of another type; the result has that of the one that is none.
    return product.long() if p.declared[0].dtype.kind == "int" else product


@kernel("einsum")
def einsum(p: Parameters) -> Tensor:
    """`einsum`: two tensors; `nchw,nwhu->nchu` or `chw,whr->chr`, whatever the letters."""
    values = p.tensors("values")
    equations = ("nchw,nwhu->nchu", "chw,whr->chr")
    given = p.raw_text("equation").replace(" ", "")
    if _pattern(given) not in {_pattern(equation) for equation in equations}:
        raise UsageError(f"einsum of '{given}'", why=f"MIL knows {' and '.join(equations)}")
    return torch.einsum(given, *values)


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
        # A true entry takes part.
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        )
    return torch.softmax(scores, -1) @ value
