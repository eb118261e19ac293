"""What stands between what one layer wrote and what the next reads: a tensor stored otherwise.

A candidate may quantise a tensor and dequantise it, or cast it, where PyTorch does nothing. Of the
reference's tensor and the two that then stand for it, the one before is the nearer and is paired;
an error made between them would be seen only in what reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.localisation.alignment import Pair, distance
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.opkinds import STORE


def stored_between(
    reference: Graph, candidate: Graph, pairs: Sequence[Pair], accused: Pair
) -> tuple[Pair, ...]:
    """Pairs tensors that were only stored otherwise with the reference's that they stand for.

    Args:
        reference: The reference's graph.
        candidate: The candidate's.
        pairs: What was aligned.
        accused: The pair before which to look, down to those that it depends on.

    Returns:
        One pair for each such tensor, in the candidate's order.
    """
    bound = {pair.candidate: pair for pair in pairs}
    found = []
    for index in candidate.between(accused.candidate, bound):
        sources = candidate.nearest(index, bound)
        steps = candidate.between(index, bound)
        if len(sources) != 1 or any(candidate.kind(i) != STORE for i in steps):
            continue
        mine, theirs = bound[sources[0]], candidate.values(index)
        before = candidate.values(mine.candidate)[0]
        # Images as integers stand for other numbers than the reference's.
        if mine.view is None or before.dtype.kind != "f" or before.shape != theirs[0].shape:
            continue
        far = distance(reference.values(mine.reference), theirs, mine.view)
        found.append(replace(mine, candidate=index, distance=far, how="place"))
    return tuple(found)
