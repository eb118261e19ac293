"""Quantisation-aware training: moves the weights until int8 answers as the float network does.

It starts from a calibration and trains on the graph that becomes the file: activations and weights
are on their int8 grids in the forward pass, and gradients pass the rounding as if it were not there
("Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
Jacob et al. 2018, section 3). The float graph is the teacher, so faces need no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from agecompact.contract import Contract, Image
from export.int8 import twin
from export.int8.calibration import Calibration, apply
from export.int8.graph import Array, Graph, Op
from export.int8.layers import KINDS
from export.int8.rounding import LEVELS, on_grid

if TYPE_CHECKING:
    from torch import Tensor

_Values = dict[int, "Tensor"]

# Every so many faces are held out: they choose between the epochs.
_HELD_OUT = 8
_TINY = 1e-12


@dataclass(frozen=True)
class Settings:
    """How it is trained.

    Attributes:
        epochs: Passes over the faces.
        batch: Faces a step.
        rate: How far Adam moves a weight in the first steps, in steps of its grid. It falls to 0 as
            half a cosine.
    """

    epochs: int = 10
    batch: int = 64
    rate: float = 0.02


@dataclass(frozen=True)
class Progress:
    """One epoch.

    Attributes:
        number: Its number; 0 is the start.
        error: Root of the mean squared error on held-out faces, as a share of the answers' spread.
    """

    number: int
    error: float


def train(
    content: bytes,
    calibration: Calibration,
    chips: Sequence[Image],
    contract: Contract,
    settings: Settings,
    told: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Trains the weights of a calibration.

    Args:
        content: The float file, whose answers are the right ones.
        calibration: Its calibration; ranges and what becomes int8 stay as they are.
        chips: Faces, uint8 BGR.
        contract: Of the network, float32 NCHW.
        settings: How to train.
        told: Is told of each epoch.

    Returns:
        The calibration of the best epoch on held-out faces: the given one, if none is better.
    """
    import torch

    teacher = Graph.parse(content)
    student = Student.of(content, calibration)
    random = np.random.default_rng(0)
    held, seen = (
        [chip for i, chip in enumerate(chips) if (i % _HELD_OUT == 0) == is_held]
        for is_held in (True, False)
    )
    optimiser = torch.optim.Adam(student.groups(settings.rate), betas=(0.9, 0.99))
    steps = settings.epochs * -(-len(seen) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    spreads = _spreads(teacher, contract, held, settings.batch)

    def error_on(batch: Mapping[int, Tensor]) -> Tensor:
        with torch.no_grad():
            right = _outputs(teacher, batch)
        found = student.outputs(batch)
        return sum(  # type: ignore[return-value]
            ((found[t] - right[t]) / spreads[t]).square().mean() for t in teacher.outputs
        )

    def held_error() -> float:
        with torch.no_grad():
            parts = [
                (float(error_on(batch)), len(next(iter(batch.values()))))
                for batch in _batches(teacher, contract, held, settings.batch)
            ]
        return float(np.sqrt(sum(e * n for e, n in parts) / sum(n for _, n in parts)))

    best = held_error()
    kept: Mapping[int, Array] = {}
    told(Progress(0, best))
    for epoch in range(1, settings.epochs + 1):
        order = random.permutation(len(seen))
        mirrored = random.random(len(seen)) < 0.5
        views = [seen[i][:, ::-1] if mirrored[i] else seen[i] for i in order]
        for batch in _batches(teacher, contract, views, settings.batch):
            optimiser.zero_grad()
            error_on(batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        error = held_error()
        told(Progress(epoch, error))
        if error < best:
            best, kept = error, student.constants()
    return replace(calibration, constants={**calibration.constants, **kept})


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
        self._written = {op.output for op in self._ops if op.index in self._plan.body}
        self._weights = {op.inputs[1]: op for op in self._ops if op.kind in KINDS}
        self._learnt: _Values = {}
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
        graph = Graph.parse(content)
        apply(graph, calibration)
        return cls(graph, calibration)

    def groups(self, rate: float) -> list[dict[str, object]]:
        """Parameters for Adam, which moves each by its learning rate: in steps of its own grid."""
        return [
            {"params": [values], "lr": rate * self._step_of(tensor, values)}
            for tensor, values in self._learnt.items()
        ]

    def outputs(self, faces: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """The answers, with weights and activations on their grids."""
        return _outputs(self._graph, faces, self)

    def reads(self, op: Op, values: Mapping[int, Tensor]) -> _Values:
        """What an op reads."""
        found = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
        if op.index in self._plan.body:
            float_ones = found.keys() - self._written
            found |= {t: _on_grid(found[t], *self._ranges[t]) for t in float_ones}
        for tensor in op.inputs:
            if tensor in self._learnt:
                found[tensor] = self._held(op, tensor)
        return found

    def writes(self, op: Op, values: Tensor) -> Tensor:
        """What an op writes."""
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


def _outputs(
    graph: Graph, faces: Mapping[int, Tensor], student: Student | None = None
) -> Mapping[int, Tensor]:
    """The outputs of a graph; a student puts what ops read and write on grids."""
    values = dict(faces)
    for op in graph.ops:
        if student is None:
            values[op.output] = twin.run(graph, op, values)
        else:
            values[op.output] = student.writes(op, twin.run(graph, op, student.reads(op, values)))
    return {tensor: values[tensor] for tensor in graph.outputs}


def _batches(
    graph: Graph, contract: Contract, chips: Sequence[Image], size: int
) -> Iterator[Mapping[int, Tensor]]:
    """Faces by input tensor, some at a time."""
    import torch

    for start in range(0, len(chips), size):
        batch = contract.batch(chips[start : start + size])
        yield {
            t: torch.from_numpy(np.ascontiguousarray(batch[graph.name(t)])) for t in graph.inputs
        }


def _spreads(
    graph: Graph, contract: Contract, chips: Sequence[Image], size: int
) -> Mapping[int, float]:
    """The standard deviation of each output over faces."""
    import torch

    with torch.no_grad():
        found = [_outputs(graph, batch) for batch in _batches(graph, contract, chips, size)]
    answers = {tensor: torch.cat([each[tensor] for each in found]) for tensor in graph.outputs}
    return {t: max(float(v.std(0).square().mean().sqrt()), _TINY) for t, v in answers.items()}


def _on_grid(values: Tensor, low: float, high: float) -> Tensor:
    # What is clipped has no gradient.
    return _straight_through(values.clamp(low, high), on_grid(values.detach(), low, high))


def _straight_through(values: Tensor, held: Tensor) -> Tensor:
    """The held values, with the gradient of the others."""
    return values + (held - values).detach()
