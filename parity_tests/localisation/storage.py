"""Finds tensors that a candidate only stores differently between two layers.

A candidate may quantise a tensor and dequantise it, or cast it, where PyTorch does nothing. Then
two of its tensors correspond to one of the reference, and the one before the storage is paired, as
it is closer. An error made by the storage would only show in the next op.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parity_tests.localisation.alignment import Pair, distance
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.opkinds import STORE


def stored_between(
    reference: Graph, candidate: Graph, pairs: Sequence[Pair], faulty: Pair
) -> tuple[Pair, ...]:
    """Pairs tensors that are only stored differently with the reference's tensors.

    Args:
        reference: The reference's graph.
        candidate: The candidate's.
        pairs: The aligned pairs.
        faulty: The pair before which to look, back to the pairs that it depends on.

    Returns:
        One pair for each such tensor, in the candidate's order.
    """
    paired = {pair.candidate: pair for pair in pairs}
    found = []
    for index in candidate.between(faulty.candidate, paired):
        sources = candidate.nearest(index, paired)
        steps = candidate.between(index, paired)
        if len(sources) != 1 or any(candidate.kind(i) != STORE for i in steps):
            continue
        source, values = paired[sources[0]], candidate.values(index)
        before = candidate.values(source.candidate)[0]
        # An image as integers holds other numbers than the reference's.
        if source.view is None or before.dtype.kind != "f" or before.shape != values[0].shape:
            continue
        far = distance(reference.values(source.reference), values, source.view)
        found.append(replace(source, candidate=index, distance=far, matched_by="place"))
    return tuple(found)
