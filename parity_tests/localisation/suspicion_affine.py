"""Suspicions about convolutions, Linears and the batch norms folded into them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity_tests.localisation.opkinds import ACTIVATIONS, AFFINE, NORM
from parity_tests.localisation.recompute import (
    Values,
    Window,
    along,
    convolve,
    found_window,
    orders,
    per_channel,
    residual,
    scale_and_shift,
    windows,
)
from parity_tests.localisation.scene import Finding, Link, Scene, channels_text
from parity_tests.localisation.suspicion_weights import other_weights

# Of what affine tests leave unexplained, in units of the spread.
_FITS = 1e-3
# A channel whose error is below this many times that of rounding agrees.
_AGREES = 16
_EPSILONS = (1e-3, 1e-5, 1e-4, 1e-6, 1e-2, 1e-7, 0.0)


def channelwise(of: Values, to: Values) -> tuple[Values, Values] | None:
    """Scale and shift of each channel that turn one tensor into the other; None where none do."""
    if residual(of, to) > _FITS:
        return None
    return scale_and_shift(of, to)


def batch_norm_epsilon(scene: Scene) -> Finding | None:
    """Channels stretched about their bias as another epsilon under the root stretches them."""
    link = scene.of_kind(NORM)
    if link is None or (seen := _seen(scene, link)) is None:
        return None
    variance, bias = scene.parameter(link, "running_var"), scene.parameter(link, "bias")
    if variance is None or bias is None:
        return None
    got, right = (v - along(bias, scene.reference) for v in (seen.candidate, seen.reference))
    x, y, kept = per_channel(right), per_channel(got), per_channel(seen.mask)
    power = np.square(x * kept).sum(1)
    stretch = np.divide((x * y * kept).sum(1), power, out=np.ones_like(power), where=power > 0)
    best: tuple[float, float, float] | None = None
    for mine in _EPSILONS[:4]:
        for theirs in _EPSILONS:
            expected = np.sqrt((variance + mine) / (variance + theirs))
            predicted = along(expected, scene.reference) * right + along(bias, scene.reference)
            if mine != theirs and scene.explains(scene.activate(predicted)):
                error = float(np.abs(stretch - expected).max())
                if best is None or error < best[0]:
                    best = (error, mine, theirs)
    if best is None:
        return None
    most = int(np.abs(stretch - 1).argmax())
    told = f"{best[2]:g} for {best[1]:g}: channel {most} is stretched by {stretch[most]:.6g}"
    return Finding("BN epsilon", told, link.scope)


def bias(scene: Scene) -> Finding | None:
    """Every channel shifted by a constant: a bias dropped or another one's."""
    link = scene.affine()
    if link is None or (seen := _seen(scene, link)) is None:
        return None
    difference, kept = per_channel(seen.candidate - seen.reference), per_channel(seen.mask)
    count = kept.sum(1)
    shift = np.divide((difference * kept).sum(1), count, out=np.zeros_like(count), where=count > 0)
    predicted = scene.activate(link.values + along(shift, link.values))
    if not scene.explains(predicted):
        return None
    moved = np.flatnonzero(np.abs(shift) > _AGREES * scene.rounding)
    stored = _folded_bias(scene, link)
    scale = float(np.abs(stored).max()) if stored is not None else 0.0
    if stored is not None and np.allclose(
        shift[moved], -stored[moved], rtol=0.02, atol=0.01 * scale
    ):
        which = channels_text(moved, len(shift))
        return Finding("bias dropped", f"{which} lack it: up to {scale:.4g}", link.scope)
    which = channels_text(moved, len(shift))
    most = float(np.abs(shift).max())
    return Finding("bias differs", f"{which} are shifted by up to {most:.4g}", link.scope)


def flattened_in_another_order(scene: Scene) -> Finding | None:
    """A Linear whose columns stand in another layout's order."""
    weight, link = scene.weight(), scene.affine()
    if weight is None or weight.ndim != 2 or link is None:
        return None
    for name, maps in scene.layouts.items():
        for order, flat in orders(maps):
            if flat.shape[-1] != weight.shape[1]:
                continue
            made = _shifted(flat @ weight.T, link, scene)
            if made is not None and scene.explains(scene.activate(made)):
                told = f"it reads '{name}' in {order} order, its weights are in the other"
                return Finding("flatten order", told, link.scope)
    return None


def channels_of_input(scene: Scene) -> Finding | None:
    """A first convolution that reads its three channels backwards, or in another range."""
    prepared = _convolution(scene)
    if prepared is None or prepared[0].shape[2] != 3 or prepared[1].shape[1] != 3:
        return None
    maps, weight, window, link = prepared
    parts = [
        convolve(maps[:, :, [k]], np.ascontiguousarray(weight[:, [k]]), window) for k in range(3)
    ]
    scale, shift = scale_and_shift(parts[0] + parts[1] + parts[2], link.values)
    backwards = convolve(np.ascontiguousarray(maps[:, :, ::-1]), weight, window)
    if scene.explains(
        scene.activate(along(scale, link.values) * backwards + along(shift, link.values))
    ):
        return Finding("RGB/BGR order", "it reads the channels backwards", link.scope)
    seen = _seen(scene, link)
    if seen is None:
        return None
    factors = _factors([along(scale, part) * part for part in parts], seen)
    if factors is None:
        return None
    told = ", ".join(f"{f:.4g}" for f in factors)
    return Finding(
        "value range / mean / std", f"as if its input's channels were scaled by {told}", link.scope
    )


def padding(scene: Scene) -> Finding | None:
    """A convolution whose padding stands on other sides."""
    prepared = _convolution(scene)
    if prepared is None:
        return None
    maps, weight, window, link = prepared
    scale, shift = scale_and_shift(convolve(maps, weight, window), link.values)
    size = (maps.shape[3], maps.shape[4])
    made = (link.values.shape[3], link.values.shape[4])
    for other in windows(window.sides, size, made):
        moved = along(scale, link.values) * convolve(maps, weight, other) + along(
            shift, link.values
        )
        if other != window and scene.explains(scene.activate(moved)):
            told = f"{other.top} above and {other.bottom} below"
            right = f"{window.top} and {window.bottom}"
            return Finding("padding side", f"padded {told}, not {right}", link.scope)
    return None


def activation_before(scene: Scene) -> Finding | None:
    """An activation left out between the inputs that agree and a convolution or Linear."""
    weight, link = scene.weight(), scene.affine()
    early = [x for x in scene.chain[:-1] if x.kind in ACTIVATIONS]
    if weight is None or link is None or len(early) != 1 or scene.source is None:
        return None
    given = early[0].values
    if scene.source.shape != given.shape:
        return None
    if weight.ndim == 2:
        right, wrong = given @ weight.T, scene.source @ weight.T
    elif (window := found_window(given, weight, link.values)) is not None:
        right, wrong = (convolve(v, weight, window) for v in (given, scene.source))
    else:
        return None
    scale, shift = scale_and_shift(right, link.values)
    made = along(scale, link.values) * wrong + along(shift, link.values)
    if not scene.explains(scene.activate(made)):
        return None
    return Finding("activation removed", f"{early[0].op} is left out", early[0].scope)


def weights(scene: Scene) -> Finding | None:
    """Some output channels differ, and the rest agree to the last bits."""
    link = scene.affine()
    if link is None or scene.candidate is None or scene.reference.ndim < 3:
        return None
    error = np.sqrt(np.square(per_channel(scene.candidate - scene.reference)).mean(1))
    limit = max(_AGREES * scene.rounding, 1e-3 * float(error.max()))
    differ = np.flatnonzero(error > limit)
    if differ.size and differ.size < error.size:
        which = channels_text(differ, error.size)
        return Finding("weights differ", f"{which} disagree, the rest agree", link.scope)
    if residual(scene.reference, scene.candidate) < _FITS:
        scale, _ = scale_and_shift(scene.reference, scene.candidate)
        told = f"channels are scaled by {scale.min():.4g} to {scale.max():.4g}"
        return Finding("weights differ", told, link.scope)
    return None


class _Seen:
    """Candidate and reference before the activation, and where that can be told."""

    def __init__(self, candidate: Values, reference: Values, mask: Values) -> None:
        self.candidate, self.reference, self.mask = candidate, reference, mask


def _seen(scene: Scene, link: Link) -> _Seen | None:
    """What is known of the sums before a fused activation: those that it lets through."""
    got = scene.candidate
    if got is None or got.ndim < 3 or link.values.shape != got.shape:
        return None
    if scene.kind in (AFFINE, NORM):
        return _Seen(got, link.values, np.ones_like(got))
    if scene.kind not in ("relu", "relu6"):
        return None
    through = (got > 0) & (link.values > 0)
    if scene.kind == "relu6":
        through &= (got < 6) & (link.values < 6)
    return _Seen(got, link.values, through.astype(np.float64)) if through.any() else None


def _folded_bias(scene: Scene, link: Link) -> Values | None:
    """What an op adds to every channel, batch norm included; None where it cannot be told."""
    if link.kind == AFFINE:
        return scene.parameter(link, "bias")
    prepared = _convolution(scene)
    if prepared is None:
        return None
    maps, weight, window, _ = prepared
    return scale_and_shift(convolve(maps, weight, window), link.values)[1]


def _convolution(scene: Scene) -> tuple[Values, Values, Window, Link] | None:
    weight, link, maps = scene.weight(), scene.affine(), scene.source
    if weight is None or link is None or maps is None or weight.ndim != 4:
        return None
    window = found_window(maps, weight, link.values)
    return None if window is None else (maps, weight, window, link)


def _shifted(made: Values, link: Link, scene: Scene) -> Values | None:
    """A Linear's sums with its bias."""
    added = scene.parameter(link, "bias")
    total = made if added is None else made + added
    return total.reshape(link.values.shape) if total.size == link.values.size else None


def _factors(parts: list[Values], seen: _Seen) -> Values | None:
    """Factors of the input's channels that explain every output channel alike; None if none do."""
    kept = per_channel(seen.mask) > 0
    columns, got = [per_channel(part) for part in parts], per_channel(seen.candidate)
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


TESTS: tuple[Callable[[Scene], Finding | None], ...] = (
    batch_norm_epsilon,
    channels_of_input,
    padding,
    flattened_in_another_order,
    activation_before,
    other_weights,
    bias,
    weights,
)
