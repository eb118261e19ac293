"""Diagnoses the op where an error originates.

Each test computes what the candidate would have written if one particular thing had gone wrong, and
returns a diagnosis only if that is what it wrote. If no test explains the output, the cause stays
unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from parity_tests.localisation import diagnose_affine, diagnose_storage
from parity_tests.localisation.context import FUNCTIONS, Diagnosis, FaultContext
from parity_tests.localisation.opkinds import (
    ACTIVATIONS,
    CONCAT,
    INPUT,
    POOL,
    REDUCE,
    SOFTMAX,
    VIEW,
)
from parity_tests.localisation.recompute import (
    found_pool_window,
    orders,
    pool,
    residual,
    scale_and_shift,
    windows,
)

# Greatest share of the spread that a scale and shift per channel may leave unexplained.
_FITS = 1e-3
_HALF_MAX = float(np.finfo(np.float16).max)


def diagnose(context: FaultContext) -> Diagnosis | None:
    """The first diagnosis that its test confirms; the most certain ones are tested first."""
    # Float16 overflows and constants cause divisions by zero here; the tests handle the results.
    with np.errstate(all="ignore"):
        return next((found for test in TESTS if (found := test(context)) is not None), None)


def overflow(context: FaultContext) -> Diagnosis | None:
    """Float16 cannot hold a value, or a running variance: above 65,504 it is infinite."""
    op = next((x for x in context.chain if f"{x.scope}.running_var" in context.state), None)
    got = context.candidate
    if op is not None and got is not None:
        variance = np.asarray(context.state[f"{op.scope}.running_var"], np.float64)
        beyond = np.flatnonzero(variance > _HALF_MAX)
        by_channel = np.moveaxis(got, 2, 0).reshape(got.shape[2], -1) if got.ndim > 2 else got
        # Divided by an infinite deviation, a channel equals its bias everywhere.
        if beyond.size and all(np.ptp(by_channel[k]) == 0 for k in beyond):
            most = float(variance[beyond].max())
            evidence = f"running variance {most:,.0f} > {_HALF_MAX:,.0f}"
            return Diagnosis("fp16 overflow", evidence, op.scope)
    if got is not None and not np.isfinite(got).all():
        most = float(np.abs(context.reference).max())
        if most > _HALF_MAX:
            evidence = f"values up to {most:,.0f} > {_HALF_MAX:,.0f} became infinite"
            return Diagnosis("fp16 overflow", evidence)
        share = 1 - np.isfinite(got).mean()
        return Diagnosis("not finite", f"{share:.1%} of the values are NaN or infinite")
    return None


def shape(context: FaultContext) -> Diagnosis | None:
    """The tensors' shapes do not fit."""
    if context.candidate is not None:
        return None
    mine = context.reference.shape[1:]
    hint = " (ceil mode?)" if context.kind == POOL else ""
    return Diagnosis("shape", f"{context.candidate_shape}, not {mine}{hint}")


def input_in_another_order(context: FaultContext) -> Diagnosis | None:
    """An input of the model has its channels reversed, or is another input's."""
    if context.kind != INPUT or context.candidate is None or context.reference.ndim != 5:
        return None
    if context.explains(context.reference[:, :, ::-1]):
        return Diagnosis("RGB/BGR order", "the inputs agree once the channels are reversed")
    for name, values in context.model_inputs.items():
        if name != context.chain[-1].op and context.explains(values):
            return Diagnosis("crop order", f"it gets the input of '{name}'")
    return None


def input_in_another_range(context: FaultContext) -> Diagnosis | None:
    """An input of the model is scaled or shifted, channel by channel."""
    if context.kind != INPUT or context.candidate is None or context.reference.ndim != 5:
        return None
    for text, values in (("", context.reference), ("reversed ", context.reference[:, :, ::-1])):
        if residual(values, context.candidate) < _FITS:
            found = scale_and_shift(values, context.candidate)
            scale, shift = (", ".join(f"{v:.4g}" for v in each) for each in found)
            evidence = f"{text}channels scaled by {scale} and shifted by {shift}"
            return Diagnosis("value range / mean / std", evidence)
    return None


def concatenation_order(context: FaultContext) -> Diagnosis | None:
    """The parts of a concatenation are in another order."""
    parts = list(context.inputs.items())
    if context.kind != CONCAT or not 2 <= len(parts) <= 4:
        return None
    if len({values.shape for _, values in parts}) != 1:
        return None
    sides, total = parts[0][1].shape, context.reference.shape
    axes = [a for a in range(1, len(total)) if len(sides) > a and sides[a] * len(parts) == total[a]]
    if not axes:
        return None
    for order in permutations(parts):
        if context.explains(np.concatenate([values for _, values in order], axes[0])):
            names = ", ".join(name for name, _ in order)
            right = ", ".join(name for name, _ in parts)
            crops = context.model_inputs.keys() >= context.inputs.keys()
            return Diagnosis("crop order" if crops else "inputs swapped", f"{names}, not {right}")
    return None


def flatten_order(context: FaultContext) -> Diagnosis | None:
    """A map is flattened in another framework's layout."""
    if context.kind != VIEW or context.candidate is None:
        return None
    for name, maps in context.maps.items():
        for order, flat in orders(maps):
            if context.explains(flat.reshape(context.reference.shape)):
                return Diagnosis("flatten order", f"'{name}' is flattened in {order} order")
    got, right = np.sort(context.candidate.ravel()), np.sort(context.reference.ravel())
    if np.allclose(got, right, rtol=0, atol=2 * context.rounding + 1e-30):
        return Diagnosis("flatten order", "the values are the same in another order")
    return None


def activation(context: FaultContext) -> Diagnosis | None:
    """An activation is missing, clipped or replaced by another."""
    if context.kind not in ACTIVATIONS or (before := context.before()) is None:
        return None
    right = context.chain[-1].op
    if context.explains(before):
        return Diagnosis("activation removed", f"the values are those before {right}")
    for name, function in FUNCTIONS.items():
        if name != context.kind and context.explains(function(before)):
            return Diagnosis("activation replaced", f"the values are those of {name}, not {right}")
    return None


def clipped(context: FaultContext) -> Diagnosis | None:
    """The values are equal inside a range, and at its bounds outside it."""
    got = context.candidate
    if got is None or got.size < 8:
        return None
    low, high = float(got.min()), float(got.max())
    outside = (context.reference > high) | (context.reference < low)
    if outside.mean() < 1e-3 or not context.explains(np.clip(context.reference, low, high)):
        return None
    quantised = "[" in context.candidate_op
    cause = "quantisation clipped range" if quantised else "activation replaced or clipped"
    return Diagnosis(cause, f"clipped to {low:.4g}..{high:.4g}: {outside.mean():.1%} of the values")


def softmax_axis(context: FaultContext) -> Diagnosis | None:
    """A softmax is over another axis, or missing."""
    if context.kind != SOFTMAX or (before := context.before()) is None:
        return None
    if context.explains(before):
        return Diagnosis("softmax removed", "the values are those before it")
    for axis in range(1, before.ndim):
        powers = np.exp(before - before.max(axis, keepdims=True))
        made = powers / powers.sum(axis, keepdims=True)
        if context.explains(made):
            evidence = f"it is over axis {axis - 1} of {made.shape[1:]}"
            return Diagnosis("softmax axis", evidence)
    return None


def pooling(context: FaultContext) -> Diagnosis | None:
    """A pool has another divisor, padding or operation, or lacks the activation before it."""
    if context.kind != POOL:
        return None
    maps, out = context.last_input, context.reference
    if maps is None or maps.ndim != 5:
        return None
    largest = "max" in context.chain[-1].op
    window = found_pool_window(maps, out, largest=largest)
    if window is None:
        return None
    if context.explains(pool(maps, window, largest=not largest, counts_padding=False)):
        other = "mean" if largest else "max"
        return Diagnosis("pool kind", f"the values are those of a {other} pool")
    source = context.input
    if (
        len(context.chain) > 1
        and source is not None
        and source.shape == maps.shape
        and context.explains(pool(source, window, largest=largest, counts_padding=False))
    ):
        missing = context.chain[-2]
        return Diagnosis("activation removed", f"{missing.op} is missing", missing.scope)
    size, out_size = (maps.shape[3], maps.shape[4]), (out.shape[3], out.shape[4])
    for candidate in windows(window.sides, size, out_size):
        for counted in (True, False):
            if context.explains(pool(maps, candidate, largest=largest, counts_padding=counted)):
                sides = f"above {candidate.top}, left {candidate.left}, below {candidate.bottom}"
                divisor = ", divided by the whole window" if counted and not largest else ""
                return Diagnosis("padding side", f"padded {sides}{divisor}")
    return None


def sequential_sum(context: FaultContext) -> Diagnosis | None:
    """The mean of a map is computed by adding one value after the other in float32."""
    maps = context.input
    if context.kind not in (POOL, REDUCE) or maps is None or maps.ndim != 5:
        return None
    values = maps.reshape(*maps.shape[:3], -1).astype(np.float32)
    count = values.shape[-1]
    if context.reference.size * count != values.size:
        return None
    means = np.add.accumulate(values, -1, dtype=np.float32)[..., -1] / np.float32(count)
    if not context.explains(means.astype(np.float64).reshape(context.reference.shape)):
        return None
    evidence = f"{count} values are added one after the other in float32"
    return Diagnosis("sequential sum", evidence)


def scaled(context: FaultContext) -> Diagnosis | None:
    """One number multiplies every value, or is added to it."""
    got, right = context.candidate, context.reference
    if got is None or right.size < 2:
        return None
    factor = float((got * right).sum() / np.square(right).sum())
    if context.explains(factor * right):
        cause = "pooling divisor" if context.kind in (POOL, REDUCE) else "scale"
        return Diagnosis(cause, f"every value is multiplied by {factor:.6g}")
    offset = float((got - right).mean())
    if context.explains(right + offset):
        return Diagnosis("offset", f"{offset:.6g} is added to every value")
    return None


def dead(context: FaultContext) -> Diagnosis | None:
    """The output is constant."""
    got = context.candidate
    if got is None or got.size < 2 or np.ptp(got) > 0 or np.ptp(context.reference) == 0:
        return None
    return Diagnosis("dead", f"the output is constant, {float(got.flat[0]):.6g}")


TESTS: tuple[Callable[[FaultContext], Diagnosis | None], ...] = (
    overflow,
    shape,
    *diagnose_storage.TESTS,
    input_in_another_order,
    input_in_another_range,
    concatenation_order,
    flatten_order,
    softmax_axis,
    dead,
    activation,
    *diagnose_affine.TESTS,
    pooling,
    sequential_sum,
    clipped,
    scaled,
)
