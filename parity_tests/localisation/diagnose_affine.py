"""Hypotheses about convolutions and Linears whose weights are right: how they are applied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity_tests.localisation import epsilon
from parity_tests.localisation.context import FaultContext, Hypothesis
from parity_tests.localisation.diagnose_weights import affine_of, has_right_constants
from parity_tests.localisation.opkinds import AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    along,
    convolve,
    found_window,
    orders,
    per_channel,
    windows,
)

_DILATION = 2


def padding(context: FaultContext) -> Iterator[Hypothesis]:
    """A convolution is padded on other sides, or its kernel is spread out."""
    right, maps, weight = affine_of(context), context.input, context.weight()
    if right is None or maps is None or weight is None or weight.ndim != 4:
        return
    first = next(x for x in context.chain if x.kind == AFFINE)
    window = found_window(maps, weight, first.values)
    if window is None:
        return
    size, out = maps.shape[3:], right.op.values.shape[3:]

    def made(sums: Values) -> Values:
        return context.activate(sums + along(right.bias, sums))

    for other in windows(window.sides, (size[0], size[1]), (out[0], out[1])):
        if other != window:
            evidence = (
                f"padded {other.top} above and {other.bottom} below, "
                f"not {window.top} and {window.bottom}"
            )
            if other.stride != window.stride:
                evidence += f", with stride {other.stride}, not {window.stride}"
            sums = convolve(maps, right.weight, other)
            yield Hypothesis("padding side", evidence, made(sums), right.op.scope)
    spread = _spread(right.weight)
    for other in windows((spread.shape[2], spread.shape[3]), (size[0], size[1]), (out[0], out[1])):
        if spread.shape != right.weight.shape and other.stride == window.stride:
            evidence = f"its kernel is spread by {_DILATION}, padded {other.top} above"
            sums = convolve(maps, spread, other)
            yield Hypothesis("dilation", evidence, made(sums), right.op.scope)


def _spread(weight: Values) -> Values:
    sides = [_DILATION * (side - 1) + 1 for side in weight.shape[2:]]
    spread = np.zeros((*weight.shape[:2], *sides))
    spread[:, :, ::_DILATION, ::_DILATION] = weight
    return spread


def reversed_channels(context: FaultContext) -> Iterator[Hypothesis]:
    """The first convolution reads its three channels in reverse order."""
    right = affine_of(context)
    if right is None or right.weight.ndim != 4 or right.weight.shape[1] != 3:
        return
    made = right.output(np.ascontiguousarray(right.weight[:, ::-1]), right.bias)
    evidence = "it reads the channels in reverse order"
    yield Hypothesis("RGB/BGR order", evidence, context.activate(made), right.op.scope)


def factors(context: FaultContext) -> Iterator[Hypothesis]:
    """The product with the weights, or the bias, is multiplied by a number."""
    right, got = affine_of(context), context.candidate
    if right is None or got is None or right.op.values.shape != got.shape:
        return
    product = right.apply(right.weight)
    added = np.broadcast_to(along(right.bias, product), product.shape)
    known = has_right_constants(context, right)
    seen = (
        (context.activate(got) == got) & (got != 0) if context.kind not in (AFFINE, NORM) else None
    )
    where = np.ones(got.shape, bool) if seen is None else seen & (product + added > 0)
    where_from = ", its weights and bias are right" if known else ""
    for cause, of, rest in (("alpha", product, added), ("beta", added, product)):
        if not of[where].any():
            continue
        factor = float(((got - rest) * of)[where].sum() / np.square(of[where]).sum())
        what = "the product with its weights" if cause == "alpha" else "its bias"
        if cause == "beta" and abs(factor) < 1e-6:
            evidence = f"no bias is added{where_from}"
            yield Hypothesis("bias dropped", evidence, context.activate(product), right.op.scope)
        elif known and len(np.unique(of[where])) > 2:
            evidence = f"{what} is multiplied by {factor:.4g}{where_from}"
            made = context.activate(factor * of + rest)
            yield Hypothesis(cause, evidence, made, right.op.scope, fitted=1)


def flattened_in_another_order(context: FaultContext) -> Iterator[Hypothesis]:
    """The columns of a Linear are in the order of another layout."""
    right = affine_of(context)
    if right is None or right.weight.ndim != 2:
        return
    for name, maps in context.maps.items():
        for order, flat in orders(maps):
            if flat.shape[-1] != right.weight.shape[1]:
                continue
            sums = flat @ right.weight.T + right.bias
            if sums.size == right.op.values.size:
                evidence = f"it reads '{name}' in {order} order, its weights are in the other"
                made = context.activate(sums.reshape(right.op.values.shape))
                yield Hypothesis("flatten order", evidence, made, right.op.scope)


def batch_norm_epsilon(context: FaultContext) -> Iterator[Hypothesis]:
    """A batch norm that was not folded stretches each channel about its bias."""
    op, got = context.last_of(NORM), context.candidate
    if op is None or got is None or context.kind != NORM or op.values.shape != got.shape:
        return
    eps, variance, beta = (context.parameter(op, n) for n in ("eps", "running_var", "bias"))
    if eps is None or variance is None or beta is None:
        return
    x, y = (per_channel(v - along(beta, v)) for v in (op.values, got))
    power = np.square(x).sum(1)
    if not power.all():
        return
    stretch = (x * y).sum(1) / power
    found = epsilon.explain(stretch, context.floor / np.sqrt(power), variance, float(eps))
    if found is None:
        return
    most = int(np.abs(stretch - 1).argmax())
    evidence = f"{found}: channel {most} is stretched by {stretch[most]:.6g}"
    expected = np.sqrt((variance + float(eps)) / (variance + max(found.low + found.high, 0) / 2))
    made = along(expected, got) * (op.values - along(beta, got)) + along(beta, got)
    yield Hypothesis("BN epsilon", evidence, made, op.scope, fitted=1)


TESTS = (
    padding,
    reversed_channels,
    factors,
    flattened_in_another_order,
    batch_norm_epsilon,
)
