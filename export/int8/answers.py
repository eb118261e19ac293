"""What a float file answers for faces to calibrate with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from agecompact.contract import Contract, Image
from agecompact.outputs import Values
from export.int8 import twin
from export.int8.graph import Graph

# Faces at a time.
_BATCH = 50


def answers_of(content: bytes, chips: Sequence[Image], contract: Contract) -> dict[str, Values]:
    """The answers of a file's outputs for faces.

    Args:
        content: The float TFLite file.
        chips: Faces, uint8 BGR.
        contract: Of the network, float32 NCHW.

    Returns:
        By output name, `(faces, 1)`: of the outputs with one answer, as far as the twin can run the
        file.
    """
    graph = Graph.parse(content)
    outputs = {
        tensor: output
        for tensor, output in zip(graph.outputs, contract.outputs, strict=True)
        if output.answer_size == 1 and output.reading.kind != "argmax"
    }
    found: dict[str, list[Values]] = defaultdict(list)
    for start in range(0, len(chips), _BATCH):
        batch = contract.batch(chips[start : start + _BATCH])
        for tensor, values in twin.walk(graph, twin.bound(graph, batch)):
            if output := outputs.get(tensor):
                answers = output.answers(values.numpy().reshape(-1, output.size))
                found[output.name].append(answers)
    return {name: np.concatenate(answers) for name, answers in found.items()}
