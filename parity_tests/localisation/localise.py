"""Finds the op where an error originates: the first that disagrees though its inputs agree.

Two graphs that ran on the same inputs are compared tensor by tensor (`comparison`). The error of
each tensor is measured relative to the error that rounding alone causes there (`rounding`), so that
what the network amplifies is not mistaken for a fault: in a correct conversion the ratio stays near
1 throughout. `origin` finds the op from these ratios, `diagnose` the cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agecompact.runtimes.base import Trace
from parity_tests.localisation.comparison import Comparison, Known
from parity_tests.localisation.context import Diagnosis, FaultContext
from parity_tests.localisation.diagnose import diagnose
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.observations import CAUSES as OBSERVATIONS
from parity_tests.localisation.origin import passed_on, readers_of
from parity_tests.localisation.report import (
    Localisation,
    TensorComparison,
    origin_of,
    summary_of,
)

_NOTHING_KNOWN = Known()
# An op that adds this many times what rounding costs is looked at; chance is a factor of two.
_FAINT = 3.0


def localise(
    reference: Sequence[Trace],
    candidate: Sequence[Trace],
    *,
    precision: str,
    known: Known = _NOTHING_KNOWN,
) -> Localisation:
    """Finds the op where a candidate's error originates.

    Args:
        reference: The reference's traces, one per sample, each with its inputs
            (`graph.with_inputs`).
        candidate: The candidate's traces on the same samples, likewise.
        precision: The candidate's, a key of `agecompact.precisions.PRECISIONS`.
        known: What else is known of the reference; without it, fewer causes can be diagnosed.
    """
    compared = Comparison(Graph(reference), Graph(candidate), precision, known)
    kept, ratios, before = compared.kept, compared.ratios, compared.ratios_before
    rows = [compared.row(kept[i], ratios[i], before[i]) for i in kept]
    effective = passed_on(ratios, compared.reads)
    undone = {row.tensor for i, row in zip(kept, rows, strict=True) if i not in effective}
    found = compared.origin() or _explained(compared)
    if found is None:
        most = _greatest_increase(rows, undone)
        return Localisation(precision, tuple(rows), None, most, _no_origin(rows[most]))
    faulty, context = found
    place = list(kept).index(faulty)
    put_in = compared.put_in(kept[faulty])
    if put_in is not None:
        context = compared.put_in_context(put_in)
        ratio = compared.meter.ratio(put_in)
        rows[place] = replace(rows[place], inputs_ratio=max(before[faulty], ratio))
        rows.insert(place, compared.row(put_in, ratio, ratios[put_in.reference], combined=False))
    row, diagnosis = rows[place], diagnose(context) or Diagnosis("unknown", "")
    origin = origin_of(place, row, diagnosis)
    most = _greatest_increase(rows, undone)
    return Localisation(precision, tuple(rows), origin, most, summary_of(origin))


def _explained(compared: Comparison) -> tuple[int, FaultContext] | None:
    """An op that adds little more than rounding may, if a cause predicts what it adds.

    In half precision, rounding costs so much that a constant which is 1 % off is no jump, and that
    a division by a rounded number hides a wrong numerator.
    """
    ratios, readers = compared.ratios, readers_of(compared.reads)
    for index, ratio in ratios.items():
        faint = ratio > _FAINT * max(compared.ratios_before[index], 1.0) and np.isfinite(ratio)
        # An error that no reader has was undone, by a bias that was moved, say.
        felt = not readers[index] or any(ratios[reader] > _FAINT for reader in readers[index])
        if faint and felt:
            context = compared.context(index)
            found = diagnose(context)
            if found is not None and found.cause not in OBSERVATIONS:
                return index, context
    return None


def _greatest_increase(rows: Sequence[TensorComparison], undone: set[str]) -> int:
    """The row whose op adds the most to its inputs' error, if that error is not undone."""
    added = [r.ratio / max(r.inputs_ratio, 1.0) * (r.tensor not in undone) for r in rows]
    return int(np.argmax([a if np.isfinite(a) else 1e300 for a in added]))


def _place(scope: str, op: str) -> str:
    return f"{scope} ({op})" if scope else op


def _no_origin(row: TensorComparison) -> str:
    return (
        "no single op stands out from rounding, and no known cause explains what one adds; "
        f"{_place(row.scope, row.op)} adds the most, its error is {row.ratio:.1f} times that of "
        "rounding"
    )
