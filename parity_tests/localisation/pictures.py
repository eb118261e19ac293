"""What a TFLite graph makes of a picture before its network reads it.

A graph that takes pictures begins with ops that the reference does not have: they make numbers of
levels, and scale and shift them. The tensor behind them is what the reference calls its input.
"""

from __future__ import annotations

from dataclasses import replace

from agecompact.runtimes.base import Step, Trace
from parity_tests.localisation.opkinds import ARITHMETIC, INPUT, STORE, VIEW, kind_of

_BEFORE = (STORE, VIEW, *ARITHMETIC)


def read_by_network(trace: Trace, *, reverse: bool) -> Trace:
    """A trace whose inputs are the values that the network reads, not pictures.

    Args:
        trace: Of a TFLite file, with its inputs (`graph.with_inputs`).
        reverse: Whether the reference's colours are in the other order: the first filters of the
            file are for those of the picture.

    Returns:
        The trace without the ops in between; an input without any stays as it is.
    """
    for step in trace:
        if step.op == INPUT and step.value.dtype.kind == "u":
            trace = _without_first_ops(trace, step, reverse)
    return trace


def _without_first_ops(trace: Trace, picture: Step, reverse: bool) -> Trace:
    last, passed, at = None, [picture.output], picture
    while (read_by := [s for s in trace if at.output in s.inputs]) and len(read_by) == 1:
        (at,) = read_by
        # Integers are behind the op that quantises what the network reads.
        quantises = at.value.dtype.kind != "f" or at.op.startswith("QUANTIZE")
        if kind_of(at.op) not in _BEFORE or len(at.inputs) != 1 or quantises:
            break
        passed.append(at.output)
        if at.value.shape == picture.value.shape:
            last = at
    if last is None:
        return trace
    value = last.value[..., ::-1] if reverse else last.value
    made = replace(picture, value=value)
    dropped = set(passed[: passed.index(last.output) + 1])
    others = (s for s in trace if s.output not in dropped)
    return (made, *(_rewired(step, last.output, picture.output) for step in others))


def _rewired(step: Step, old: str, new: str) -> Step:
    return replace(step, inputs=tuple(new if name == old else name for name in step.inputs))
