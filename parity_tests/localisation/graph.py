"""A trace as a graph: which step reads which, over one or more samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from agecompact.runtimes.base import Array, Arrays, Step, Trace
from parity_tests.localisation.opkinds import ARITHMETIC, INPUT, OTHER, STORE, VIEW, kind_of

# Steps by index: the keys of a mapping, or a set.
Indices = Mapping[int, object] | set[int]


def with_inputs(trace: Trace, inputs: Arrays) -> Trace:
    """A trace preceded by its inputs as steps of the op `input`.

    Args:
        trace: As `Session.trace` returns it.
        inputs: The session's inputs by name.
    """
    known = {step.output for step in trace}
    steps = (Step(INPUT, name, (), "", v) for name, v in inputs.items() if name not in known)
    return (*steps, *trace)


class Graph:
    """The floating-point steps of traces of one model on several samples.

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
        """The kind of a step's op (`parity_tests.localisation.opkinds`)."""
        return kind_of(self.steps[index].op)

    def values(self, index: int) -> tuple[Array, ...]:
        """What a step wrote, one array per sample."""
        return self._values[index]

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the steps that it reads, in the order of its inputs."""
        return tuple(
            tuple(dict.fromkeys(i for name in step.inputs for i in self._producers(name)))
            for step in self.steps
        )

    def _producers(self, name: str) -> tuple[int, ...]:
        """The step that wrote a tensor; for integers, the steps that they were computed from."""
        if name in self._index:
            return (self._index[name],)
        return tuple(i for read in self._integers.get(name, ()) for i in self._producers(read))

    @cached_property
    def ancestors(self) -> tuple[int, ...]:
        """For each step, itself and all steps that it depends on, as bits."""
        found: list[int] = []
        for index, parents in enumerate(self.parents):
            bits = 1 << index
            for parent in parents:
                bits |= found[parent]
            found.append(bits)
        return tuple(found)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the steps that read it."""
        found: list[list[int]] = [[] for _ in self.steps]
        for index, parents in enumerate(self.parents):
            for parent in parents:
                found[parent].append(index)
        return tuple(map(tuple, found))

    def as_read(self, index: int) -> int:
        """The step that stores a tensor as all its readers read it; itself if none does."""
        while len(self.readers[index]) == 1 and self.kind(self.readers[index][0]) == STORE:
            (index,) = self.readers[index]
        return index

    @cached_property
    def unchanging(self) -> frozenset[int]:
        """Ops that only pass a tensor on, which converters drop: a dropout, x * 1."""
        return frozenset(
            index
            for index, parents in enumerate(self.parents)
            if self.kind(index) in (*ARITHMETIC, VIEW)
            and len(parents) == 1
            and index != len(self) - 1
            and all(map(np.array_equal, self.values(index), self.values(parents[0])))
        )

    def nearest(self, index: int, stops: Indices) -> tuple[int, ...]:
        """The closest steps among `stops` that a step depends on, in the order of its inputs."""
        return _closest(self.parents, index, stops)

    def nearest_readers(self, index: int, stops: Indices) -> tuple[int, ...]:
        """The closest steps among `stops` that depend on a step."""
        return _closest(self.readers, index, stops)

    def between(self, index: int, stops: Indices) -> tuple[int, ...]:
        """A step and the steps between it and those `stops` that it depends on, in order."""
        found = {index}
        pending = list(self.parents[index])
        while pending:
            at = pending.pop()
            if at not in stops and at not in found:
                found.add(at)
                pending.extend(self.parents[at])
        return tuple(sorted(found))


def _closest(edges: Sequence[Sequence[int]], start: int, stops: Indices) -> tuple[int, ...]:
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
    """Root mean square, in float64; 0 for an empty array."""
    flat = np.asarray(value, np.float64).ravel()
    return float(np.sqrt(np.mean(np.square(flat)))) if flat.size else 0.0
