"""Diagnoses of convolutions, Linears and the batch norms folded into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.localisation.context import (
    Diagnosis,
    FaultContext,
    ReferenceOp,
    channels_text,
)
from parity_tests.localisation.diagnose_weights import other_weights
from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    Window,
    along,
    application,
    convolve,
    found_window,
    orders,
    per_channel,
    residual,
    scale_and_shift,
    windows,
)

# Greatest share of the spread that a scale and shift per channel may leave unexplained.
_FITS = 1e-3
# A channel agrees if its error is below this many times that of rounding.
_AGREES = 16
_EPSILONS = (1e-3, 1e-5, 1e-4, 1e-6, 1e-2, 1e-7, 0.0)


@dataclass(frozen=True)
class _PreActivation:
    """Candidate and reference before a fused activation.

    Attributes:
        candidate: The candidate's sums.
        reference: The reference's.
        mask: 1 where the sums are known, that is, where the activation lets both through; else 0.
    """

    candidate: Values
    reference: Values
    mask: Values


@dataclass(frozen=True)
class _Convolution:
    """A convolution of the reference whose inputs agree.

    Attributes:
        maps: Its input.
        weight: Its weights, OIHW.
        window: How its kernel moves over the maps.
        op: The batch norm after it, or itself.
        scale: Factor of each channel by the batch norm, `(channels,)`.
        shift: What the batch norm, or the bias, adds to each channel, `(channels,)`.
    """

    maps: Values
    weight: Values
    window: Window
    op: ReferenceOp
    scale: Values
    shift: Values

    def normed(self, sums: Values) -> Values:
        """Other sums after the same scale and shift."""
        return along(self.scale, self.op.values) * sums + along(self.shift, self.op.values)


def batch_norm_epsilon(context: FaultContext) -> Diagnosis | None:
    """Each channel is stretched about its bias as another epsilon would stretch it."""
    op = context.last_of(NORM)
    if op is None or (sums := _pre_activation(context, op)) is None:
        return None
    variance, bias = context.parameter(op, "running_var"), context.parameter(op, "bias")
    if variance is None or bias is None:
        return None
    got, right = (v - along(bias, context.reference) for v in (sums.candidate, sums.reference))
    x, y, kept = per_channel(right), per_channel(got), per_channel(sums.mask)
    power = np.square(x * kept).sum(1)
    stretch = np.divide((x * y * kept).sum(1), power, out=np.ones_like(power), where=power > 0)
    fits: list[tuple[float, float, float]] = []
    for mine in _EPSILONS[:4]:
        for theirs in _EPSILONS:
            expected = np.sqrt((variance + mine) / (variance + theirs))
            predicted = along(expected, context.reference) * right + along(bias, context.reference)
            if mine != theirs and context.explains(context.activate(predicted)):
                fits.append((float(np.abs(stretch - expected).max()), mine, theirs))
    if not fits:
        return None
    _, mine, theirs = min(fits, key=lambda fit: fit[0])
    most = int(np.abs(stretch - 1).argmax())
    evidence = f"{theirs:g} for {mine:g}: channel {most} is stretched by {stretch[most]:.6g}"
    return Diagnosis("BN epsilon", evidence, op.scope)


def bias(context: FaultContext) -> Diagnosis | None:
    """Every channel is shifted by a constant: its bias is missing or wrong."""
    op = context.last_of(AFFINE, NORM)
    if op is None or (sums := _pre_activation(context, op)) is None:
        return None
    difference, kept = per_channel(sums.candidate - sums.reference), per_channel(sums.mask)
    count = kept.sum(1)
    shift = np.divide((difference * kept).sum(1), count, out=np.zeros_like(count), where=count > 0)
    if not context.explains(context.activate(op.values + along(shift, op.values))):
        return None
    moved = np.flatnonzero(np.abs(shift) > _AGREES * context.rounding)
    which = channels_text(moved, len(shift))
    stored = _folded_bias(context, op)
    scale = 0.0 if stored is None else float(np.abs(stored).max())
    if stored is not None and np.allclose(
        shift[moved], -stored[moved], rtol=0.02, atol=0.01 * scale
    ):
        return Diagnosis("bias dropped", f"missing in {which}: up to {scale:.4g}", op.scope)
    most = float(np.abs(shift).max())
    return Diagnosis("bias differs", f"{which} shifted by up to {most:.4g}", op.scope)


def flattened_in_another_order(context: FaultContext) -> Diagnosis | None:
    """The columns of a Linear are in the order of another layout."""
    weight, op = context.weight(), context.last_of(AFFINE, NORM)
    if weight is None or weight.ndim != 2 or op is None:
        return None
    added = context.parameter(op, "bias")
    for name, maps in context.maps.items():
        for order, flat in orders(maps):
            if flat.shape[-1] != weight.shape[1]:
                continue
            sums = flat @ weight.T if added is None else flat @ weight.T + added
            if sums.size == op.values.size and context.explains(
                context.activate(sums.reshape(op.values.shape))
            ):
                evidence = f"it reads '{name}' in {order} order, its weights are in the other"
                return Diagnosis("flatten order", evidence, op.scope)
    return None


def channels_of_input(context: FaultContext) -> Diagnosis | None:
    """The first convolution reads its three channels reversed, or in another range."""
    found = _convolution(context)
    if found is None or found.maps.shape[2] != 3 or found.weight.shape[1] != 3:
        return None
    reversed_maps = np.ascontiguousarray(found.maps[:, :, ::-1])
    sums = convolve(reversed_maps, found.weight, found.window)
    if context.explains(context.activate(found.normed(sums))):
        return Diagnosis("RGB/BGR order", "it reads the channels in reverse order", found.op.scope)
    known = _pre_activation(context, found.op)
    if known is None:
        return None
    parts = [
        convolve(found.maps[:, :, [k]], np.ascontiguousarray(found.weight[:, [k]]), found.window)
        for k in range(3)
    ]
    factors = _factors([along(found.scale, part) * part for part in parts], known)
    if factors is None:
        return None
    listed = ", ".join(f"{f:.4g}" for f in factors)
    evidence = f"as if its input's channels were scaled by {listed}"
    return Diagnosis("value range / mean / std", evidence, found.op.scope)


def padding(context: FaultContext) -> Diagnosis | None:
    """A convolution is padded on other sides."""
    found = _convolution(context)
    if found is None:
        return None
    right = found.window
    size = (found.maps.shape[3], found.maps.shape[4])
    out = (found.op.values.shape[3], found.op.values.shape[4])
    for other in windows(right.sides, size, out):
        sums = convolve(found.maps, found.weight, other)
        if other != right and context.explains(context.activate(found.normed(sums))):
            evidence = (
                f"padded {other.top} above and {other.bottom} below, "
                f"not {right.top} and {right.bottom}"
            )
            return Diagnosis("padding side", evidence, found.op.scope)
    return None


def activation_before(context: FaultContext) -> Diagnosis | None:
    """An activation is missing between the inputs that agree and a convolution or Linear."""
    weight, op = context.weight(), context.last_of(AFFINE, NORM)
    early = [x for x in context.chain[:-1] if x.kind in ACTIVATIONS]
    if weight is None or op is None or len(early) != 1 or context.input is None:
        return None
    active = early[0].values
    if context.input.shape != active.shape:
        return None
    apply = application(active, weight, op.values)
    if apply is None:
        return None
    scale, shift = scale_and_shift(apply(active, weight), op.values)
    made = along(scale, op.values) * apply(context.input, weight) + along(shift, op.values)
    if not context.explains(context.activate(made)):
        return None
    return Diagnosis("activation removed", f"{early[0].op} is missing", early[0].scope)


def weights(context: FaultContext) -> Diagnosis | None:
    """Some output channels differ, and the rest agree to the last bits."""
    op = context.last_of(AFFINE, NORM)
    if op is None or context.candidate is None or context.reference.ndim < 3:
        return None
    error = np.sqrt(np.square(per_channel(context.candidate - context.reference)).mean(1))
    limit = max(_AGREES * context.rounding, 1e-3 * float(error.max()))
    differ = np.flatnonzero(error > limit)
    if differ.size and differ.size < error.size:
        which = channels_text(differ, error.size)
        return Diagnosis("weights differ", f"{which} disagree, the rest agree", op.scope)
    if residual(context.reference, context.candidate) < _FITS:
        scale, _ = scale_and_shift(context.reference, context.candidate)
        evidence = f"channels are scaled by {scale.min():.4g} to {scale.max():.4g}"
        return Diagnosis("weights differ", evidence, op.scope)
    return None


def _pre_activation(context: FaultContext, op: ReferenceOp) -> _PreActivation | None:
    """The sums before a fused activation; None if they are unknown."""
    got, right = context.candidate, op.values
    if got is None or got.ndim < 3 or right.shape != got.shape:
        return None
    if context.kind in (AFFINE, NORM):
        return _PreActivation(got, right, np.ones_like(got))
    if context.kind not in ("relu", "relu6"):
        return None
    through = (got > 0) & (right > 0)
    if context.kind == "relu6":
        through &= (got < 6) & (right < 6)
    return _PreActivation(got, right, through.astype(np.float64)) if through.any() else None


def _folded_bias(context: FaultContext, op: ReferenceOp) -> Values | None:
    """What an op adds to every channel, batch norm included; None if unknown."""
    if op.kind == AFFINE:
        return context.parameter(op, "bias")
    found = _convolution(context)
    return None if found is None else found.shift


def _convolution(context: FaultContext) -> _Convolution | None:
    """The chain's convolution; None if it has none, or its window is unknown."""
    weight, op, maps = context.weight(), context.last_of(AFFINE, NORM), context.input
    if weight is None or op is None or maps is None or weight.ndim != 4:
        return None
    window = found_window(maps, weight, op.values)
    if window is None:
        return None
    scale, shift = scale_and_shift(convolve(maps, weight, window), op.values)
    return _Convolution(maps, weight, window, op, scale, shift)


def _factors(parts: list[Values], sums: _PreActivation) -> Values | None:
    """Factors of the input's channels that explain all output channels; None if there are none."""
    kept = per_channel(sums.mask) > 0
    columns, got = [per_channel(part) for part in parts], per_channel(sums.candidate)
    found = []
    for k in np.flatnonzero(kept.sum(1) > 16):
        where = kept[k]
        design = np.stack([*(c[k][where] for c in columns), np.ones(int(where.sum()))], 1)
        solved, _, rank, _ = np.linalg.lstsq(design, got[k][where], rcond=None)
        left = got[k][where] - design @ solved
        if rank < 4 or left.std() > _FITS * max(float(got[k][where].std()), 1e-12):
            return None
        found.append(solved[:3])
    factors = np.array(found)
    if len(factors) < 2 or (np.ptp(factors, 0) > 0.01 * np.abs(factors).max()).any():
        return None
    middle: Values = np.median(factors, 0)
    return None if np.allclose(middle, 1, atol=1e-3) else middle


TESTS: tuple[Callable[[FaultContext], Diagnosis | None], ...] = (
    batch_norm_epsilon,
    channels_of_input,
    padding,
    flattened_in_another_order,
    activation_before,
    other_weights,
    bias,
    weights,
)
