"""How far the answers for calibration faces go: beyond them, int8 may clip what a network says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from agecompact.contract import Contract, Tensor
from agecompact.outputs import Output
from export.int8 import twin
from export.int8.graph import Graph

# Faces of children and of the old are this many years apart.
_WIDE_YEARS = 50.0
_ENDS = (1, 99)


def span_of(content: bytes, faces: Mapping[str, Tensor], contract: Contract) -> str:
    """The span of a float file's answers for calibration faces, and what is missing, for people.

    Args:
        content: The file, TFLite in float32.
        faces: By input name, float32 `(faces, C, H, W)`.
        contract: Of the network.

    Returns:
        Empty if the twin cannot run the file, or if no output has a single answer.
    """
    import torch

    graph = Graph.parse(content)
    inputs = {tensor: torch.from_numpy(faces[graph.name(tensor)]) for tensor in graph.inputs}
    found = {t: v.numpy() for t, v in twin.walk(graph, inputs) if t in graph.outputs}
    parts = [
        part
        for tensor, output in zip(graph.outputs, contract.outputs, strict=True)
        if tensor in found and output.answer_size == 1 and output.reading.kind != "argmax"
        for part in _told(output, found[tensor].reshape(-1, output.size))
    ]
    return "; ".join(parts)


def _told(output: Output, values: Tensor) -> Iterator[str]:
    low, high = np.percentile(output.answers(values), _ENDS)
    ends = f"{low:.3g} to {high:.3g} {output.unit}"
    yield f"calibrated with {len(values)} faces, whose answers go from {ends}"
    if output.unit == "years" and high - low < _WIDE_YEARS:
        yield "add faces of other ages: int8 may be off by many years for them"
