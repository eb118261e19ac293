"""How far the answers for calibration faces go: beyond them, int8 may clip what a network says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from agecompact.contract import Contract, Tensor
from agecompact.outputs import Output, Values
from export.int8 import twin
from export.int8.graph import Graph

# Faces of children and of the old are this many years apart.
_WIDE_YEARS = 50.0
_ENDS = (1, 99)


@dataclass(frozen=True)
class Span:
    """How far answers go.

    Attributes:
        text: Of each output, and what is missing, for people; empty if no output has one answer.
        deviation: Standard deviation of the first output's answers; None if it has several.
        unit: Its unit.
    """

    text: str = ""
    deviation: float | None = None
    unit: str = ""


def span_of(content: bytes, faces: Mapping[str, Tensor], contract: Contract) -> Span:
    """The span of a float file's answers for calibration faces.

    Args:
        content: The file, TFLite in float32.
        faces: By input name, float32 `(faces, C, H, W)`.
        contract: Of the network.

    Returns:
        An empty one if the twin cannot run the file.
    """
    graph = Graph.parse(content)
    found = {
        t: v.numpy() for t, v in twin.walk(graph, twin.bound(graph, faces)) if t in graph.outputs
    }
    answers = {
        output: output.answers(found[tensor].reshape(-1, output.size))
        for tensor, output in zip(graph.outputs, contract.outputs, strict=True)
        if tensor in found and output.answer_size == 1 and output.reading.kind != "argmax"
    }
    text = "; ".join(part for output, each in answers.items() for part in _told(output, each))
    first = contract.outputs[0]
    if first not in answers:
        return Span(text)
    return Span(text, float(answers[first].std()), first.unit)


def _told(output: Output, answers: Values) -> Iterator[str]:
    low, high = np.percentile(answers, _ENDS)
    ends = f"{low:.3g} to {high:.3g} {output.unit}"
    yield f"calibrated with {len(answers)} faces, whose answers go from {ends}"
    if output.unit == "years" and high - low < _WIDE_YEARS:
        yield "add faces of other ages: int8 may be off by many years for them"
