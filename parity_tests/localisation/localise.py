"""Where an error is born: the first op that disagrees though what it reads agrees.

Two graphs that saw the same inputs are laid beside each other tensor by tensor (`alignment`). The
error of each tensor is measured in the error that rounding alone makes there (`rounding`), so that
what a network amplifies by itself accuses nobody: of a right conversion that ratio stays near 1 all
the way. `jump` tells from the ratios which op is accused, `suspicion` of what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from agecompact.runtimes.base import Array, Trace
from parity_tests.localisation.alignment import Pair, align
from parity_tests.localisation.findings import Birth, Localisation, Row, as_json, lines
from parity_tests.localisation.graph import Graph, with_inputs
from parity_tests.localisation.jump import birthplace, carried_on, jumps
from parity_tests.localisation.meter import Meter
from parity_tests.localisation.opkinds import INPUT, STORE, kind_of
from parity_tests.localisation.recompute import Values
from parity_tests.localisation.scene import Finding, Link, Scene
from parity_tests.localisation.stored import stored_between
from parity_tests.localisation.suspicion import suspect

__all__ = ["Birth", "Localisation", "Row", "as_json", "lines", "localise", "with_inputs"]


def localise(
    reference: Sequence[Trace],
    candidate: Sequence[Trace],
    *,
    precision: str,
    rounding: Mapping[str, float] | None = None,
    state: Mapping[str, Array] | None = None,
) -> Localisation:
    """Finds the op where a candidate's error is born.

    Args:
        reference: Its traces, one a sample, each with its inputs (`graph.with_inputs`).
        candidate: The candidate's traces on the same samples, likewise.
        precision: Of the candidate: `float32` or `float16`.
        rounding: By the reference's tensor, the RMS error that rounding makes there
            (`rounding.Evidence`). Without it, as of a foreign pair, a rule of thumb stands in, and
            only errors far beyond rounding are told.
        state: The reference's weights by name; without them fewer suspicions can be tried.
    """
    mine, theirs = Graph(reference), Graph(candidate)
    pairs = align(mine, theirs)
    meter = Meter(mine, theirs, precision, rounding or {})
    kept = _one_a_tensor(pairs, meter)
    ratios = {i: meter.ratio(pair) for i, pair in kept.items()}
    reads = {i: mine.nearest(i, kept) for i in kept}
    before = {i: max((ratios[r] for r in reads[i]), default=0.0) for i in kept}
    rows = [
        _row(mine, theirs, kept[i], mine.between(i, kept), meter, (ratios[i], before[i]))
        for i in kept
    ]
    order = list(kept)
    carried = carried_on(order, ratios, reads)
    undone = {mine.steps[i].output for i in order if i not in carried}
    guilty = birthplace(order, ratios, reads, carried)
    if guilty is None:
        most = _adds_most(rows, undone)
        return Localisation(precision, tuple(rows), None, most, _harmless(rows, most))
    place = order.index(guilty)
    stored = _stored_wrong(mine, theirs, pairs, kept[guilty], meter, ratios)
    if stored is None:
        scene = _scene(mine, theirs, pairs, kept, guilty, reads[guilty], meter, state or {})
    else:
        scene = _stored_scene(mine, theirs, stored, meter)
        errors = meter.ratio(stored), ratios[stored.reference]
        rows[place] = replace(rows[place], inputs_ratio=max(before[guilty], errors[0]))
        rows.insert(place, _row(mine, theirs, stored, (stored.reference,), meter, errors))
    birth = _birth(place, rows[place], suspect(scene))
    return Localisation(precision, tuple(rows), birth, _adds_most(rows, undone), _accusation(birth))


def _birth(place: int, row: Row, found: Finding | None) -> Birth:
    return Birth(
        row=place,
        scope=row.scope if found is None or found.scope is None else found.scope,
        op=row.op,
        candidate_op=row.candidate_op,
        candidate_tensor=row.candidate_tensor,
        suspicion="unknown" if found is None else found.name,
        evidence="" if found is None else found.evidence,
    )


def _adds_most(rows: Sequence[Row], undone: set[str]) -> int:
    """The row whose op adds the most, of those whose error is not undone."""
    added = [r.ratio / max(r.inputs_ratio, 1.0) * (r.tensor not in undone) for r in rows]
    return int(np.argmax([a if np.isfinite(a) else 1e300 for a in added]))


def _one_a_tensor(pairs: Sequence[Pair], meter: Meter) -> dict[int, Pair]:
    """The pair of each tensor of the reference; of several crops of one, the worst."""
    kept: dict[int, Pair] = {}
    for pair in pairs:
        rival = kept.get(pair.reference)
        if rival is None or meter.ratio(pair) > meter.ratio(rival):
            kept[pair.reference] = pair
    return kept


def _stored_wrong(
    mine: Graph,
    theirs: Graph,
    pairs: Sequence[Pair],
    accused: Pair,
    meter: Meter,
    ratios: Mapping[int, float],
) -> Pair | None:
    """The first tensor before an accused one that, only stored otherwise, explains its error."""
    for pair in stored_between(mine, theirs, pairs, accused):
        ratio = meter.ratio(pair)
        if jumps(ratio, ratios[pair.reference]) and not jumps(ratios[accused.reference], ratio):
            return pair
    return None


def _row(
    mine: Graph,
    theirs: Graph,
    pair: Pair,
    covers: Sequence[int],
    meter: Meter,
    errors: tuple[float, float],
) -> Row:
    """The row of a pair; `errors` is its ratio and the greatest of what it is computed from."""
    step, other = mine.steps[pair.reference], theirs.steps[pair.candidate]
    error = meter.error(pair)
    return Row(
        scope=step.scope,
        op=step.op,
        tensor=step.output,
        covers=tuple(mine.steps[i].op for i in covers),
        candidate_op=other.op,
        candidate_tensor=other.output,
        matched_by=pair.how,
        max_abs=None if error is None else error[0],
        relative=pair.distance if np.isfinite(pair.distance) else None,
        ratio=errors[0],
        inputs_ratio=errors[1],
    )


def _stored_scene(mine: Graph, theirs: Graph, pair: Pair, meter: Meter) -> Scene:
    """The scene of a tensor that should be the reference's own, stored otherwise."""
    both = meter.values(pair)
    assert both is not None, "a pair of other shapes is not taken for stored"
    step, other = mine.steps[pair.reference], theirs.steps[pair.candidate]
    return Scene(
        reference=both[0],
        candidate=both[1],
        candidate_shape=other.value.shape,
        candidate_op=other.op,
        sources={step.output: both[0]},
        chain=(Link(step.op, STORE, step.scope, both[0]),),
        rounding=meter.floor(pair.reference),
    )


def _scene(
    mine: Graph,
    theirs: Graph,
    pairs: Sequence[Pair],
    kept: Mapping[int, Pair],
    index: int,
    reads: Sequence[int],
    meter: Meter,
    state: Mapping[str, Array],
) -> Scene:
    pair = kept[index]
    both = meter.values(pair)

    # Where the reference stacks crops and the candidate does not, all is looked at on one crop.
    crop = None if pair.view is None else pair.view.crop
    crops = len(mine.steps[index].value)

    def stacked(i: int) -> Values:
        values = [np.asarray(v, np.float64) for v in mine.values(i)]
        one = crop is not None and len(values[0]) == crops
        return np.stack([v[crop : crop + 1] if one and crop is not None else v for v in values])

    def link(i: int) -> Link:
        step = mine.steps[i]
        name = step.output if step.op == INPUT else step.op
        return Link(name, kind_of(step.op), step.scope, stacked(i))

    chain = mine.between(index, kept)
    ops = theirs.between(pair.candidate, {p.candidate for p in pairs})
    upstream = [i for i in mine.between(index, set()) if mine.steps[i].value.ndim == 4]
    sizes = {stacked(i)[0].size for i in (*reads, index)}
    return Scene(
        reference=stacked(index) if both is None else both[0],
        candidate=None if both is None else both[1],
        candidate_shape=theirs.steps[pair.candidate].value.shape,
        candidate_op=theirs.steps[pair.candidate].op,
        sources={mine.steps[i].output: stacked(i) for i in reads},
        chain=tuple(link(i) for i in chain),
        rounding=meter.floor(index),
        state=state,
        layouts={
            mine.steps[i].output: stacked(i)
            for i in reversed(upstream)
            if mine.steps[i].value.size in sizes and kind_of(mine.steps[i].op) != "view"
        },
        rivals={s.output: stacked(i) for i, s in enumerate(mine.steps) if s.op == INPUT},
        constants=tuple(c for i in ops for c in theirs.steps[i].constants),
        unit=meter.unit,
    )


def _place(scope: str, op: str) -> str:
    return f"{scope} ({op})" if scope else op


def _accusation(birth: Birth) -> str:
    told = f"{birth.suspicion}: {birth.evidence}" if birth.evidence else "cause unknown"
    return (
        f"born at {_place(birth.scope, birth.op)}, {birth.candidate_op} "
        f"'{birth.candidate_tensor}': {told}"
    )


def _harmless(rows: Sequence[Row], most: int) -> str:
    row = rows[most]
    return (
        f"no single op: rounding accumulates; {_place(row.scope, row.op)} adds the most, "
        f"{row.ratio:.1f} times what rounding makes there"
    )
