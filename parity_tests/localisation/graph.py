"""A trace as a graph: who reads whom, over one or more samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from agecompact.runtimes.base import Array, Arrays, Step, Trace
from parity_tests.localisation.opkinds import INPUT, OTHER, kind_of


def with_inputs(trace: Trace, inputs: Arrays) -> Trace:
    """A trace with its inputs as steps, op `input`, before the rest.

    Args:
        trace: As `Session.trace` gives it.
        inputs: What the session was given, by name.
    """
    known = {step.output for step in trace}
    given = (Step(INPUT, name, (), "", v) for name, v in inputs.items() if name not in known)
    return (*given, *trace)


class Graph:
    """The floating steps of traces of one model on several samples.

    Attributes:
        steps: The steps of the first sample, inputs first.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        kept = [i for i, s in enumerate(traces[0]) if s.op == INPUT or s.value.dtype.kind == "f"]
        self.steps = tuple(traces[0][i] for i in kept)
        self._values = [tuple(trace[i].value for trace in traces) for i in kept]
        self._index = {step.output: i for i, step in enumerate(self.steps)}
        # Integers that are values, such as a quantised tensor's, and not shapes or indices.
        self._integers = {
            step.output: step.inputs
            for step in traces[0]
            if step.output not in self._index and kind_of(step.op) != OTHER
        }

    def __len__(self) -> int:
        return len(self.steps)

    def kind(self, index: int) -> str:
        """What a step's op does."""
        return kind_of(self.steps[index].op)

    def values(self, index: int) -> tuple[Array, ...]:
        """What a step wrote, one array a sample."""
        return self._values[index]

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Of each step, the steps that it reads, in its own order."""
        return tuple(
            tuple(dict.fromkeys(i for name in step.inputs for i in self._behind(name)))
            for step in self.steps
        )

    def _behind(self, name: str) -> tuple[int, ...]:
        """The steps that a tensor is, or, where it is of integers, that those come from."""
        if name in self._index:
            return (self._index[name],)
        return tuple(i for read in self._integers.get(name, ()) for i in self._behind(read))

    @cached_property
    def ancestors(self) -> tuple[int, ...]:
        """Of each step, itself and all that it depends on, as bits."""
        found: list[int] = []
        for index, parents in enumerate(self.parents):
            bits = 1 << index
            for parent in parents:
                bits |= found[parent]
            found.append(bits)
        return tuple(found)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Of each step, the steps that read it."""
        found: list[list[int]] = [[] for _ in self.steps]
        for index, parents in enumerate(self.parents):
            for parent in parents:
                found[parent].append(index)
        return tuple(map(tuple, found))

    def nearest(self, index: int, stops: Mapping[int, object] | set[int]) -> tuple[int, ...]:
        """The closest steps among `stops` that a step depends on, in the order of its inputs."""
        return _closest(self.parents, index, stops)

    def nearest_readers(
        self, index: int, stops: Mapping[int, object] | set[int]
    ) -> tuple[int, ...]:
        """The closest steps among `stops` that depend on a step."""
        return _closest(self.readers, index, stops)

    def between(self, index: int, stops: Mapping[int, object] | set[int]) -> tuple[int, ...]:
        """The steps from those `stops` on, up to and with a step, in order."""
        found = {index}
        pending = list(self.parents[index])
        while pending:
            at = pending.pop()
            if at not in stops and at not in found:
                found.add(at)
                pending.extend(self.parents[at])
        return tuple(sorted(found))


def _closest(
    edges: Sequence[Sequence[int]], start: int, stops: Mapping[int, object] | set[int]
) -> tuple[int, ...]:
    found: dict[int, None] = {}
    pending = list(edges[start])
    seen: set[int] = set()
    while pending:
        at = pending.pop(0)
        if at in stops:
            found[at] = None
        elif at not in seen:
            seen.add(at)
            pending.extend(edges[at])
    return tuple(found)


def rms(value: Array) -> float:
    """Root of the mean square, in float64; 0 of nothing."""
    flat = np.asarray(value, np.float64).ravel()
    return float(np.sqrt(np.mean(np.square(flat)))) if flat.size else 0.0
