"""A calibrated graph in torch: it answers as its int8 file does, and its weights can learn.

In the forward pass activations and weights are on their int8 grids; gradients pass the rounding as
if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Contract, Image
from export.int8 import twin
from export.int8.calibration import Calibration, applied
from export.int8.graph import Array, Graph, Op
from export.int8.layers import KINDS
from export.int8.rounding import LEVELS, on_grid

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12
# Faces at a time where nothing is learnt.
_FACES = 50


class Student:
    """A calibrated graph with weights that learn.

    Args:
        graph: The calibrated graph, still float.
        calibration: Its calibration.
    """

    def __init__(self, graph: Graph, calibration: Calibration) -> None:
        self._graph = graph
        self._ops = graph.ops
        self._plan, self._ranges = calibration.plan, calibration.ranges
        self._in_int8 = {op.output for op in self._ops if op.index in self._plan.body}
        self._weights = {op.inputs[1]: op for op in self._ops if op.kind in KINDS}
        self._learnt: dict[int, Tensor] = {}
        for tensor, op in self._weights.items():
            for place, each in enumerate((tensor, *op.inputs[2:]), start=1):
                stored = graph.constant(each) if each >= 0 else None
                # What several layers read, such as the kernel of average pools, stays as it is.
                if stored is not None and graph.is_read_once(each):
                    read = twin.kernel_of(op, stored) if place == 1 else twin.as_operand(stored)
                    self._learnt[each] = read.contiguous().requires_grad_()

    @classmethod
    def of(cls, content: bytes, calibration: Calibration) -> Student:
        """The student of a float file."""
        return cls(applied(content, calibration), calibration)

    def groups(self, rate: float) -> list[dict[str, object]]:
        """Parameters for Adam, which moves each by its learning rate: in steps of its own grid."""
        return [
            {"params": [values], "lr": rate * self._step_of(tensor, values)}
            for tensor, values in self._learnt.items()
        ]

    def outputs(self, faces: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """The outputs for a batch of faces, both by tensor; faces are NCHW."""
        values = dict(faces)
        for op in self._ops:
            made = twin.run(self._graph, op, self._read(op, values))
            values[op.output] = self._written(op, made)
        return {tensor: values[tensor] for tensor in self._graph.outputs}

    def _read(self, op: Op, values: Mapping[int, Tensor]) -> dict[int, Tensor]:
        found = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
        if op.index in self._plan.body:
            float_ones = found.keys() - self._in_int8
            found |= {t: _on_grid(found[t], *self._ranges[t]) for t in float_ones}
        for tensor in op.inputs:
            if tensor in self._learnt:
                found[tensor] = self._held(op, tensor)
        return found

    def _written(self, op: Op, values: Tensor) -> Tensor:
        is_int8 = op.index in self._plan.body
        return _on_grid(values, *self._ranges[op.output]) if is_int8 else values

    def constants(self) -> dict[int, Array]:
        """The weights as they are now, on their grids, as the graph stores them."""
        import torch

        with torch.no_grad():
            return {
                tensor: twin.as_stored(op, self._held(op, tensor))
                for op in self._weights.values()
                for tensor in op.inputs[1:]
                if tensor in self._learnt
            }

    def _held(self, op: Op, tensor: int) -> Tensor:
        values = self._learnt[tensor]
        planned = self._plan.body | self._plan.stored
        if tensor != op.inputs[1] or op.index not in planned:
            return values
        others = tuple(range(1, values.ndim))
        step = values.detach().abs().amax(others, keepdim=True).clamp_min(_TINY) / LEVELS
        return _straight_through(values, (values / step).round() * step)

    def _step_of(self, tensor: int, values: Tensor) -> float:
        if tensor in self._weights:
            return float(values.detach().abs().max()) / LEVELS
        op = next(op for op in self._weights.values() if tensor in op.inputs)
        if op.output in self._ranges:
            low, high = self._ranges[op.output]
            return (high - low) / 255
        return max(float(values.detach().abs().max()), _TINY) / LEVELS


@dataclass(frozen=True)
class Comparison:
    """Compares students with the float graph.

    Attributes:
        teacher: The float graph.
        contract: Of the network, float32 NCHW.
        deviations: Standard deviation of each output, by tensor.
    """

    teacher: Graph
    contract: Contract
    deviations: Mapping[int, float]

    @classmethod
    def on(cls, content: bytes, contract: Contract, chips: Sequence[Image]) -> Comparison:
        """The comparison with a float file, whose outputs' deviations are those on some faces.

        Raises:
            UnknownOpError: The twin cannot run the file.
        """
        import torch

        graph = Graph.parse(content)
        made = [_right(graph, batch) for batch in batches(graph, contract, chips, _FACES)]
        outputs = {tensor: torch.cat([each[tensor] for each in made]) for tensor in graph.outputs}
        deviations = {
            t: max(float(v.std(0).square().mean().sqrt()), _TINY) for t, v in outputs.items()
        }
        return cls(graph, contract, deviations)

    def squared(self, student: Student, faces: Mapping[int, Tensor]) -> Tensor:
        """The mean squared error for a batch, in deviations, summed over the outputs."""
        right, found = _right(self.teacher, faces), student.outputs(faces)
        errors = [(found[t] - right[t]) / of for t, of in self.deviations.items()]
        total: Tensor = sum(error.square().mean() for error in errors)  # type: ignore[assignment]
        return total

    def error(self, student: Student, chips: Sequence[Image]) -> float:
        """Root of the mean squared error on faces, as a share of the outputs' deviation."""
        import torch

        total = 0.0
        with torch.no_grad():
            for batch in batches(self.teacher, self.contract, chips, _FACES):
                total += float(self.squared(student, batch)) * len(next(iter(batch.values())))
        return float(np.sqrt(total / len(chips)))


def batches(
    graph: Graph, contract: Contract, chips: Sequence[Image], size: int
) -> Iterator[Mapping[int, Tensor]]:
    """Faces by input tensor of a graph, some at a time."""
    for start in range(0, len(chips), size):
        yield twin.bound(graph, contract.batch(chips[start : start + size]))


def _right(graph: Graph, faces: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
    """The outputs of a float graph."""
    import torch

    values = dict(faces)
    with torch.no_grad():
        for op in graph.ops:
            values[op.output] = twin.run(graph, op, values)
    return {tensor: values[tensor] for tensor in graph.outputs}


def _on_grid(values: Tensor, low: float, high: float) -> Tensor:
    # What is clipped has no gradient.
    return _straight_through(values.clamp(low, high), on_grid(values.detach(), low, high))


def _straight_through(values: Tensor, held: Tensor) -> Tensor:
    """The held values, with the gradient of the others."""
    return values + (held - values).detach()
