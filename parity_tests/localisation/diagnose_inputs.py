"""Hypotheses about what an op reads: inputs of the model, concatenations, flattened maps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from parity_tests.localisation.context import FaultContext, Hypothesis
from parity_tests.localisation.opkinds import CONCAT, INPUT, VIEW
from parity_tests.localisation.recompute import along, orders, per_channel, scale_and_shift

# Differences smaller than this are those of float32.
_NOTHING = 1e-6


def input_in_another_order(context: FaultContext) -> Iterator[Hypothesis]:
    """An input of the model has its channels reversed, or is another input's."""
    if context.kind != INPUT or context.reference.ndim != 5:
        return
    yield Hypothesis(
        "RGB/BGR order",
        "the inputs agree once the channels are reversed",
        context.reference[:, :, ::-1],
    )
    for name, values in context.model_inputs.items():
        if name != context.chain[-1].op:
            yield Hypothesis("crop order", f"it gets the input of '{name}'", values)


def input_in_another_range(context: FaultContext) -> Iterator[Hypothesis]:
    """An input of the model is scaled or shifted, channel by channel."""
    got = context.candidate
    if context.kind != INPUT or got is None or context.reference.ndim != 5:
        return
    for text, values in (("", context.reference), ("reversed ", context.reference[:, :, ::-1])):
        # The scale of a constant channel is unknown.
        if (np.ptp(per_channel(values), axis=1) == 0).any():
            continue
        scale, shift = scale_and_shift(values, got)
        changes = []
        if (np.abs(scale - 1) > _NOTHING).any():
            changes.append(f"scaled by {', '.join(f'{s:.4g}' for s in scale)}")
        if (np.abs(shift) > _NOTHING * np.abs(got).max()).any():
            changes.append(f"shifted by {', '.join(f'{s:.4g}' for s in shift)}")
        made = along(scale, values) * values + along(shift, values)
        evidence = f"{text}channels {' and '.join(changes)}"
        yield Hypothesis("value range / mean / std", evidence, made, fitted=6)


def concatenation_order(context: FaultContext) -> Iterator[Hypothesis]:
    """The parts of a concatenation are in another order."""
    parts = list(context.inputs.items())
    if context.kind != CONCAT or not 2 <= len(parts) <= 4:
        return
    if len({values.shape for _, values in parts}) != 1:
        return
    sides, total = parts[0][1].shape, context.reference.shape
    axes = [a for a in range(1, len(total)) if len(sides) > a and sides[a] * len(parts) == total[a]]
    if not axes:
        return
    cause = (
        "crop order" if context.model_inputs.keys() >= context.inputs.keys() else "inputs swapped"
    )
    right = ", ".join(name for name, _ in parts)
    for order in permutations(parts):
        names = ", ".join(name for name, _ in order)
        made = np.concatenate([values for _, values in order], axes[0])
        yield Hypothesis(cause, f"{names}, not {right}", made)


def flatten_order(context: FaultContext) -> Iterator[Hypothesis]:
    """A map is flattened in another framework's layout."""
    got = context.candidate
    if context.kind != VIEW or got is None:
        return
    for name, maps in context.maps.items():
        for order, flat in orders(maps):
            if flat.size == context.reference.size:
                evidence = f"'{name}' is flattened in {order} order"
                made = flat.reshape(context.reference.shape)
                yield Hypothesis("flatten order", evidence, made)


def reordered(context: FaultContext) -> Iterator[Hypothesis]:
    """A view has the right values in another order."""
    got = context.candidate
    if context.kind != VIEW or got is None or got.shape != context.reference.shape:
        return
    made = np.empty_like(got)
    made.ravel()[np.argsort(got, axis=None)] = np.sort(context.reference, axis=None)
    yield Hypothesis("flatten order", "the values are the same in another order", made, fitted=1)


def another_tensor(context: FaultContext) -> Iterator[Hypothesis]:
    """The op reads another tensor than the reference's does."""
    if context.replay is None or not context.candidate_reads:
        return
    lost = {n: v for n, v in context.inputs.items() if n not in context.candidate_reads}
    for name, values in lost.items():
        for other, instead in context.candidate_reads.items():
            if instead.shape == values.shape:
                evidence = f"it reads '{other}', not '{name}'"
                yield Hypothesis("another input", evidence, context.replay({name: instead}))


TESTS = (
    input_in_another_order,
    input_in_another_range,
    concatenation_order,
    flatten_order,
    reordered,
    another_tensor,
)
