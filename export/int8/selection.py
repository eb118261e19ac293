"""Which faces calibrate: those whose answers cover the whole range evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.data.face import spread
from agecompact.outputs import Values
from export.int8 import twin
from export.int8.graph import Graph

# A range of answers has so many parts, each with as many faces as the others where there are any.
_PARTS = 20
# Faces at a time.
_BATCH = 50


def selected(content: bytes, chips: Sequence[Image], contract: Contract, most: int) -> list[Image]:
    """At most so many faces, of all answers alike: rare ages are where int8 errs most.

    Args:
        content: The float TFLite file, which answers.
        chips: Faces, uint8 BGR.
        contract: Of the network, float32 NCHW.
        most: How many.

    Returns:
        Faces in the given order; evenly spread ones if the first output has no single answer, or
        the twin cannot run the file.
    """
    if len(chips) <= most:
        return list(chips)
    answers = _answers(content, chips, contract)
    if answers is None:
        return list(spread(chips, most))
    width = max(float(np.ptp(answers)), 1e-9)
    parts = np.minimum((answers - answers.min()) / width * _PARTS, _PARTS - 1).astype(int)
    ranks = np.empty(len(chips), int)
    for part in range(_PARTS):
        places = np.flatnonzero(parts == part)
        ranks[places] = np.arange(len(places))
    # All first faces of the parts, then all second ones, and so on.
    order = np.lexsort((parts, ranks))
    return [chips[i] for i in sorted(order[:most])]


def _answers(content: bytes, chips: Sequence[Image], contract: Contract) -> Values | None:
    """The first output's answer for each face."""
    output = contract.outputs[0]
    if output.answer_size != 1 or output.reading.kind == "argmax":
        return None
    graph = Graph.parse(content)
    found = []
    for start in range(0, len(chips), _BATCH):
        batch = contract.batch(chips[start : start + _BATCH])
        found += [
            output.answers(values.numpy().reshape(-1, output.size)).ravel()
            for tensor, values in twin.walk(graph, twin.bound(graph, batch))
            if tensor == graph.outputs[0]
        ]
    return np.concatenate(found) if found else None
