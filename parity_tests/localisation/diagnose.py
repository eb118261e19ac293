"""Diagnoses the op where an error originates.

What is read from the file comes first: shapes, stored types, weights that give its output. Next
come hypotheses, each with the output that it predicts. One that predicts the candidate's output is
the cause, unless another does so about as well: then both are named. If none does, what is observed
is described, which is not a cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from parity_tests.localisation import (
    diagnose_affine,
    diagnose_inputs,
    diagnose_ops,
    diagnose_pools,
    diagnose_storage,
    diagnose_weights,
    observations,
)
from parity_tests.localisation.context import Diagnosis, FaultContext, Hypothesis
from parity_tests.localisation.opkinds import POOL

_HALF_MAX = float(np.finfo(np.float16).max)
# A rival leaves at most this many times what the best hypothesis leaves.
_RIVAL = 3.0
# Causes that several windows with the same effect may have.
_OF_WINDOWS = frozenset({"padding side", "pool window", "dilation"})
# More rivals than this say nothing.
_MOST_RIVALS = 3


def diagnose(context: FaultContext) -> Diagnosis | None:
    """What is wrong; None if neither a cause nor an observation explains the output."""
    # Float16 overflows and constants cause divisions by zero here; the tests handle the results.
    with np.errstate(all="ignore"):
        for read in FACTS:
            if (fact := read(context)) is not None:
                return fact
        hypotheses = _explaining(context, TESTS)
        return (
            _decided(context, hypotheses)
            or dead(context)
            or _decided(context, _explaining(context, observations.TESTS))
        )


Test = Callable[[FaultContext], Iterable[Hypothesis]]


def _explaining(context: FaultContext, tests: Iterable[Test]) -> list[Hypothesis]:
    return [h for test in tests for h in test(context) if context.explains(h.predicted)]


def _decided(context: FaultContext, explaining: list[Hypothesis]) -> Diagnosis | None:
    """The cause that explains the output best, or all that do so about as well."""
    least = min((h.fitted for h in explaining), default=0)
    simplest = [h for h in explaining if h.fitted == least]
    left = {id(h): context.left(h.predicted) for h in simplest}
    best = min(left.values(), default=0.0)
    rivals = [h for h in simplest if left[id(h)] <= max(_RIVAL * best, context.rounding)]
    found = _distinct(rivals)
    if not found or len(found) > _MOST_RIVALS:
        return None
    causes = " or ".join(dict.fromkeys(h.cause for h in found))
    evidence = " or ".join(h.evidence for h in found)
    scopes = {h.scope for h in found}
    return Diagnosis(
        causes,
        evidence if len(found) == 1 else f"consistent with either: {evidence}",
        found[0].scope if len(scopes) == 1 else None,
    )


def _distinct(rivals: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Rivals that say different things; a padding that no window reaches is none at all."""
    found: dict[tuple[str, str | bytes], Hypothesis] = {}
    for rival in rivals:
        same = rival.predicted.tobytes() if rival.cause in _OF_WINDOWS else rival.evidence
        found.setdefault((rival.cause, same), rival)
    return list(found.values())


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
    hint = " (ceil mode, or padding?)" if context.kind == POOL else ""
    return Diagnosis("shape", f"{context.candidate_shape}, not {mine}{hint}")


def dead(context: FaultContext) -> Diagnosis | None:
    """The output is constant."""
    got = context.candidate
    if got is None or got.size < 2 or np.ptp(got) > 0 or np.ptp(context.reference) == 0:
        return None
    return Diagnosis("dead", f"the output is constant, {float(got.flat[0]):.6g}")


FACTS: tuple[Callable[[FaultContext], Diagnosis | None], ...] = (
    overflow,
    shape,
    *diagnose_storage.TESTS,
    diagnose_weights.other_weights,
    diagnose_ops.other_constant,
)
TESTS: tuple[Callable[[FaultContext], Iterator[Hypothesis]], ...] = (
    *diagnose_inputs.TESTS,
    *diagnose_ops.TESTS,
    *diagnose_pools.TESTS,
    *diagnose_affine.TESTS,
)
