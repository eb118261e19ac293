"""Hypotheses about pools: another kind, window, padding or divisor; and how a mean is added up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity_tests.localisation.context import FaultContext, Hypothesis
from parity_tests.localisation.opkinds import POOL, REDUCE
from parity_tests.localisation.recompute import found_pool_window, pool, windows


def pooling(context: FaultContext) -> Iterator[Hypothesis]:
    """A pool has another divisor, padding, window or operation."""
    maps, out = context.last_input, context.reference
    if context.kind != POOL or maps is None or maps.ndim != 5 or context.candidate is None:
        return
    largest = "max" in context.chain[-1].op
    window = found_pool_window(maps, out, largest=largest)
    if window is None:
        return
    source = context.input
    if len(context.chain) > 1 and source is not None and source.shape == maps.shape:
        # Without the network, which cannot be run again, this is how to see it.
        missing = context.chain[-2]
        made = pool(source, window, largest=largest, counts_padding=False)
        evidence = f"{missing.op} is missing"
        yield Hypothesis("activation removed", evidence, made, missing.scope)
    other = "mean" if largest else "max"
    made = pool(maps, window, largest=not largest, counts_padding=False)
    yield Hypothesis("pool kind", f"the values are those of a {other} pool", made)
    area = window.sides[0] * window.sides[1]
    squares = area * pool(np.square(maps), window, largest=False, counts_padding=False)
    yield Hypothesis("pool kind", "the values are those of an L2 pool", np.sqrt(squares))
    if not largest:
        evidence = "the values are sums, not divided by the window"
        yield Hypothesis("pool kind", evidence, area * out)
    size, out_size = (maps.shape[3], maps.shape[4]), (out.shape[3], out.shape[4])
    for side in range(max(1, window.sides[0] - 1), window.sides[0] + 2):
        for candidate in windows((side, side), size, out_size):
            for counted in (True, False) if not largest else (False,):
                if candidate == window:
                    continue
                made = pool(maps, candidate, largest=largest, counts_padding=counted)
                divisor = ", divided by the whole window" if counted else ""
                if candidate.sides == window.sides:
                    where = f"padded above {candidate.top}, below {candidate.bottom}"
                    yield Hypothesis("padding side", f"{where}{divisor}", made)
                else:
                    evidence = (
                        f"{side} x {side} with stride {candidate.stride} and padding "
                        f"{candidate.top} and {candidate.bottom}, not {window.sides[0]} x "
                        f"{window.sides[1]}{divisor}"
                    )
                    yield Hypothesis("pool window", evidence, made)


def sequential_sum(context: FaultContext) -> Iterator[Hypothesis]:
    """The mean of a map is computed by adding one value after the other in float32."""
    maps = context.input
    if context.kind not in (POOL, REDUCE) or maps is None or maps.ndim != 5:
        return
    values = maps.reshape(*maps.shape[:3], -1).astype(np.float32)
    count = values.shape[-1]
    if context.reference.size * count != values.size:
        return
    means = np.add.accumulate(values, -1, dtype=np.float32)[..., -1] / np.float32(count)
    evidence = f"{count} values are added one after the other in float32"
    made = means.astype(np.float64).reshape(context.reference.shape)
    yield Hypothesis("sequential sum", evidence, made)


TESTS = (pooling, sequential_sum)
