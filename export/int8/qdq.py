"""The int8 graph as a torch network that torch's exporter writes with QDQ ops, NCHW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from export.int8 import twin
from export.int8.calibration import Calibration, applied, rounded_ops
from export.int8.graph import Array, Graph, Op
from export.int8.rounding import grid_of, scales_of

if TYPE_CHECKING:
    from torch import Tensor

# ONNX Runtime's kernels for x86 take bytes; those for ARM take both.
_UINT8 = (0, 255, torch.uint8)
_INT8 = (-128, 127, torch.int8)
_INT32 = (-(2**31), 2**31 - 1, torch.int32)


class Quantised(nn.Module):
    """A calibrated graph whose weights are int8 and biases int32, NCHW.

    Args:
        graph: The calibrated graph, still float.
        calibration: Its calibration.
        inputs: Names of the inputs, in the order of calls.
    """

    def __init__(self, graph: Graph, calibration: Calibration, inputs: Sequence[str]) -> None:
        super().__init__()
        # Registers the operators that torch's exporter writes as QuantizeLinear and its like.
        import torch.ao.quantization.fx._decomposed  # noqa: F401

        self._graph, self._ops = graph, graph.ops
        by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
        self._inputs = [by_name[name] for name in inputs]
        self._body = calibration.plan.body
        self._grids = {tensor: _unsigned(*ends) for tensor, ends in calibration.ranges.items()}
        self._kept: set[tuple[int, int]] = set()
        for op in rounded_ops(graph, calibration.plan):
            self._store(op)

    @classmethod
    def of(cls, content: bytes, calibration: Calibration, inputs: Sequence[str]) -> Quantised:
        """The network of a float file and its calibration."""
        return cls(applied(content, calibration), calibration, inputs).eval()

    def forward(self, *faces: Tensor) -> tuple[Tensor, ...]:
        """The outputs for one face."""
        values = dict(zip(self._inputs, faces, strict=True))
        held: dict[int, Tensor] = {}
        for op in self._ops:
            read = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
            if op.index in self._body:
                held |= {t: self._on_grid(t, v) for t, v in read.items() if t not in held}
                read = {tensor: held[tensor] for tensor in read}
            made = twin.run(self._graph, op, read | self._constants(op))
            if op.index in self._body:
                made = held[op.output] = self._on_grid(op.output, made)
            values[op.output] = made
        return tuple(values[tensor] for tensor in self._graph.outputs)

    def _on_grid(self, tensor: int, values: Tensor) -> Tensor:
        grid = (*self._grids[tensor], *_UINT8)
        quantised = torch.ops.quantized_decomposed.quantize_per_tensor(values, *grid)
        made: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(quantised, *grid)
        return made

    def _store(self, op: Op) -> None:
        """Keeps a layer's weights, and its bias if it computes in int8, as integers."""
        weights = twin.kernel_of(op, _constant(self._graph, op, 1))
        steps = torch.from_numpy(scales_of(weights.flatten(1).double().numpy()))
        rows = steps.view(-1, *(1 for _ in weights.shape[1:]))
        self._keep(op, 1, weights / rows, steps, torch.int8)
        if op.index not in self._body or len(op.inputs) < 3 or op.inputs[2] < 0:
            return
        bias = torch.from_numpy(_constant(self._graph, op, 2).copy())
        step, _ = self._grids[op.inputs[0]]
        self._keep(op, 2, bias / (steps * step), steps * step, torch.int32)

    def _keep(self, op: Op, place: int, values: Tensor, steps: Tensor, kind: torch.dtype) -> None:
        # By op, not by tensor: the scales of a bias that several layers read differ.
        self._kept.add((op.index, place))
        self.register_buffer(f"steps_{op.index}_{place}", values.round().to(kind))
        self.register_buffer(f"scales_{op.index}_{place}", steps.float())

    def _constants(self, op: Op) -> dict[int, Tensor]:
        """A layer's weights and bias as the integers hold them."""
        return {
            tensor: torch.ops.quantized_decomposed.dequantize_per_channel(
                self.get_buffer(f"steps_{op.index}_{place}"),
                self.get_buffer(f"scales_{op.index}_{place}"),
                None,
                0,
                *(_INT8 if place == 1 else _INT32),
            )
            for place, tensor in enumerate(op.inputs)
            if (op.index, place) in self._kept
        }


def _unsigned(low: float, high: float) -> tuple[float, int]:
    """The int8 grid of a range with its integers moved to 0 to 255."""
    step, zero = grid_of(low, high)
    return step, zero + 128


def _constant(graph: Graph, op: Op, place: int) -> Array:
    found = graph.constant(op.inputs[place])
    assert found is not None
    return found
