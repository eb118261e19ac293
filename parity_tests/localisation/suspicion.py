"""Suspicions about an op, each a test that gives evidence or nothing.

A test proposes what the candidate would have written had one certain thing gone wrong and speaks
only if that is what it wrote. What no test explains stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from parity_tests.localisation import suspicion_affine, suspicion_stored
from parity_tests.localisation.opkinds import (
    ACTIVATIONS,
    CONCAT,
    INPUT,
    POOL,
    REDUCE,
    SOFTMAX,
    VIEW,
)
from parity_tests.localisation.recompute import Values, found_pool_window, orders, pool, windows
from parity_tests.localisation.scene import FUNCTIONS, Finding, Scene

_HALF_MAX = 65_504.0


def suspect(scene: Scene) -> Finding | None:
    """The first suspicion that is borne out, the most certain being tried first."""
    # Float16 overflows and constants divide by nothing here; the tests judge what comes of it.
    with np.errstate(all="ignore"):
        return next((found for test in SUSPICIONS if (found := test(scene)) is not None), None)


def overflow(scene: Scene) -> Finding | None:
    """Float16 cannot hold the value, or a running variance: what is beyond 65,504 is infinite."""
    link = next((x for x in scene.chain if f"{x.scope}.running_var" in scene.state), None)
    got = scene.candidate
    if link is not None and got is not None:
        variance = np.asarray(scene.state[f"{link.scope}.running_var"], np.float64)
        beyond = np.flatnonzero(variance > _HALF_MAX)
        by_channel = np.moveaxis(got, 2, 0).reshape(got.shape[2], -1) if got.ndim > 2 else got
        # Divided by an infinite deviation, a channel is its bias everywhere.
        if beyond.size and all(np.ptp(by_channel[k]) == 0 for k in beyond):
            most = float(variance[beyond].max())
            text = f"running variance {most:,.0f} > 65,504"
            return Finding("fp16 overflow", text, link.scope)
    if got is not None and not np.isfinite(got).all():
        most = float(np.abs(scene.reference).max())
        if most > _HALF_MAX:
            return Finding("fp16 overflow", f"values up to {most:,.0f} > 65,504 became infinite")
        share = 1 - np.isfinite(got).mean()
        return Finding("not finite", f"{share:.1%} of the values are NaN or Inf; none should be")
    return None


def shape(scene: Scene) -> Finding | None:
    """The tensors cannot be laid beside each other."""
    if scene.candidate is not None:
        return None
    mine = scene.reference.shape[1:]
    cause = " (ceil mode?)" if scene.kind == POOL else ""
    return Finding("shape", f"{scene.candidate_shape} for {mine}{cause}")


def given_in_another_order(scene: Scene) -> Finding | None:
    """A model's input with its channels reversed, or another input's."""
    if scene.kind != INPUT or scene.candidate is None or scene.reference.ndim != 5:
        return None
    if scene.explains(scene.reference[:, :, ::-1]):
        return Finding("RGB/BGR order", "the inputs agree once the channels are reversed")
    mine = scene.chain[-1].op
    for name, values in scene.rivals.items():
        if name != mine and scene.explains(values):
            return Finding("crop order", f"it is given what belongs to '{name}'")
    return None


def given_in_another_range(scene: Scene) -> Finding | None:
    """A model's input scaled or shifted, channel by channel."""
    if scene.kind != INPUT or scene.candidate is None or scene.reference.ndim != 5:
        return None
    for text, values in (("", scene.reference), ("reversed ", scene.reference[:, :, ::-1])):
        found = suspicion_affine.channelwise(values, scene.candidate)
        if found is not None:
            scale, shift = found
            told = f"{text}channels scaled by {_list(scale)} and shifted by {_list(shift)}"
            return Finding("value range / mean / std", told)
    return None


def order_of_inputs(scene: Scene) -> Finding | None:
    """A concatenation whose parts were exchanged, or a difference taken the wrong way round."""
    parts = list(scene.sources.items())
    if scene.kind != CONCAT or not 2 <= len(parts) <= 4:
        return None
    sizes = {values.shape for _, values in parts}
    axis = next(
        (
            a
            for a in range(1, scene.reference.ndim)
            if sum(v.shape[a] for _, v in parts if v.ndim > a) == scene.reference.shape[a]
        ),
        None,
    )
    if axis is None or len(sizes) != 1:
        return None
    for order in permutations(parts):
        if scene.explains(np.concatenate([values for _, values in order], axis)):
            names = ", ".join(name for name, _ in order)
            right = ", ".join(name for name, _ in parts)
            kind = "crop order" if scene.rivals.keys() >= scene.sources.keys() else "inputs swapped"
            return Finding(kind, f"{names} for {right}")
    return None


def flatten_order(scene: Scene) -> Finding | None:
    """A map flattened in the layout of another framework."""
    if scene.kind != VIEW or scene.candidate is None:
        return None
    for name, maps in scene.layouts.items():
        for order, flat in orders(maps):
            if scene.explains(flat.reshape(scene.reference.shape)):
                return Finding("flatten order", f"'{name}' is flattened in {order} order")
    got, right = np.sort(scene.candidate.ravel()), np.sort(scene.reference.ravel())
    if np.allclose(got, right, rtol=0, atol=2 * scene.rounding + 1e-30):
        return Finding("flatten order", "the same values stand in another order")
    return None


def activation(scene: Scene) -> Finding | None:
    """An activation left out, clipped or replaced by another."""
    if scene.kind not in ACTIVATIONS or (before := scene.before()) is None:
        return None
    right = scene.chain[-1].op
    if scene.explains(before):
        return Finding("activation removed", f"the values are those before {right}")
    for name, function in FUNCTIONS.items():
        if name != scene.kind and scene.explains(function(before)):
            return Finding("activation replaced", f"the values are those of {name}, not {right}")
    return None


def clipped(scene: Scene) -> Finding | None:
    """Values equal inside a range, and at its bounds outside it."""
    got = scene.candidate
    if got is None or got.size < 8:
        return None
    low, high = float(got.min()), float(got.max())
    outside = (scene.reference > high) | (scene.reference < low)
    if outside.mean() < 1e-3 or not scene.explains(np.clip(scene.reference, low, high)):
        return None
    quantised = "[" in scene.candidate_op
    name = "quantisation clipped range" if quantised else "activation replaced or clipped"
    return Finding(name, f"clipped to {low:.4g}..{high:.4g}: {outside.mean():.1%} of the values")


def softmax_axis(scene: Scene) -> Finding | None:
    """A softmax over another axis, or over none."""
    if scene.kind != SOFTMAX or (before := scene.before()) is None:
        return None
    if scene.explains(before):
        return Finding("softmax removed", "the values are those before it")
    for axis in range(1, before.ndim):
        powers = np.exp(before - before.max(axis, keepdims=True))
        made = powers / powers.sum(axis, keepdims=True)
        if scene.explains(made):
            return Finding("softmax axis", f"it is taken over axis {axis - 1}, {made.shape[1:]}")
    return None


def pooling(scene: Scene) -> Finding | None:
    """A pool with another divisor, padding or operation, or without the activation before it."""
    link = scene.of_kind(POOL)
    if link is None or scene.kind != POOL:
        return None
    given = scene.chain[-2].values if len(scene.chain) > 1 else scene.source
    if given is None or given.ndim != 5:
        return None
    largest = "max" in link.op
    window = found_pool_window(given, scene.reference, largest=largest)
    if window is None:
        return None
    size = (given.shape[3], given.shape[4])
    made = (scene.reference.shape[3], scene.reference.shape[4])
    if scene.explains(pool(given, window, largest=not largest, counts_padding=False)):
        return Finding("pool kind", f"the values are those of a {'mean' if largest else 'max'}")
    source = scene.source
    if (
        len(scene.chain) > 1
        and source is not None
        and source.shape == given.shape
        and scene.explains(pool(source, window, largest=largest, counts_padding=False))
    ):
        left_out = scene.chain[-2]
        return Finding("activation removed", f"{left_out.op} is left out", left_out.scope)
    for other in windows(window.sides, size, made):
        for counted in (True, False):
            if scene.explains(pool(given, other, largest=largest, counts_padding=counted)):
                told = f"above {other.top}, left {other.left}, below {other.bottom}"
                divisor = ", divided by the whole window" if counted and not largest else ""
                return Finding("padding side", f"padded {told}{divisor}")
    return None


def summed_in_line(scene: Scene) -> Finding | None:
    """A mean over a map whose float32 sum is formed by adding one value after the other."""
    maps = scene.source
    if scene.kind not in (POOL, REDUCE) or maps is None or maps.ndim != 5:
        return None
    values = maps.reshape(*maps.shape[:3], -1).astype(np.float32)
    count = values.shape[-1]
    if scene.reference.size * count != values.size:
        return None
    total = np.add.accumulate(values, -1, dtype=np.float32)[..., -1] / np.float32(count)
    if not scene.explains(total.astype(np.float64).reshape(scene.reference.shape)):
        return None
    return Finding("sum in line", f"{count} values are added one after the other in float32")


def scaled(scene: Scene) -> Finding | None:
    """Every value multiplied by one number, or one number added to it."""
    got, right = scene.candidate, scene.reference
    if got is None or right.size < 2:
        return None
    factor = float((got * right).sum() / np.square(right).sum())
    if scene.explains(factor * right):
        name = "pooling divisor" if scene.kind in (POOL, REDUCE) else "scale"
        return Finding(name, f"every value is multiplied by {factor:.6g}")
    offset = float((got - right).mean())
    if scene.explains(right + offset):
        return Finding("offset", f"{offset:.6g} is added to every value")
    return None


def dead(scene: Scene) -> Finding | None:
    """The op answers the same to everything."""
    got = scene.candidate
    if got is None or got.size < 2 or np.ptp(got) > 0 or np.ptp(scene.reference) == 0:
        return None
    return Finding("dead", f"the op answers a constant, {float(got.flat[0]):.6g}")


def _list(values: Values) -> str:
    return ", ".join(f"{v:.4g}" for v in values)


def _tests() -> Iterator[Callable[[Scene], Finding | None]]:
    yield from (overflow, shape)
    yield from suspicion_stored.TESTS
    yield from (given_in_another_order, given_in_another_range, order_of_inputs, flatten_order)
    yield from (softmax_axis, dead, activation)
    yield from suspicion_affine.TESTS
    yield from (pooling, summed_in_line, clipped, scaled)


SUSPICIONS: tuple[Callable[[Scene], Finding | None], ...] = tuple(_tests())
