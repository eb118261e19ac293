"""The int8 graph as a torch network that torch's exporter writes with QDQ ops, NCHW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from export.int8 import twin
from export.int8.calibration import Calibration, applied, rounded_ops
from export.int8.graph import Array, Graph, Op
from export.int8.rounding import grid_of, scales_of

if TYPE_CHECKING:
    from torch import Tensor

INT8 = (-128, 127, torch.int8)
INT32 = (-(2**31), 2**31 - 1, torch.int32)


@dataclass(frozen=True)
class Integers:
    """How a runtime wants the integers.

    Attributes:
        low: The least integer of activations and of weights.
        high: The greatest one.
        kind: Their dtype.
        middle: What stands for 0 in weights, and what is added to zero points of int8.
        biases: Whether biases are int32; else they stay float, and the runtime rounds them.
    """

    low: int
    high: int
    kind: torch.dtype
    middle: int
    biases: bool

    @property
    def grid(self) -> tuple[int, int, torch.dtype]:
        """The last arguments of torch's quantising operators."""
        return self.low, self.high, self.kind


# With signed weights, ONNX Runtime adds products in 16 bits on x86 processors that lack VNNI, and
# cuts sums that do not fit: answers were off by 36 years.
ONNX = Integers(0, 255, torch.uint8, middle=128, biases=True)
XNNPACK = Integers(-128, 127, torch.int8, middle=0, biases=False)


class Quantised(nn.Module):
    """A calibrated graph whose weights are int8 and biases int32, NCHW.

    Args:
        graph: The calibrated graph, still float.
        calibration: Its calibration.
        inputs: Names of the inputs, in the order of calls.
        integers: How the runtime wants the integers.
    """

    def __init__(
        self, graph: Graph, calibration: Calibration, inputs: Sequence[str], integers: Integers
    ) -> None:
        super().__init__()
        # Registers the operators that torch's exporter writes as QuantizeLinear and its like.
        import torch.ao.quantization.fx._decomposed  # noqa: F401

        self._graph, self._ops = graph, graph.ops
        by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
        self._inputs = [by_name[name] for name in inputs]
        self._body = calibration.plan.body
        self._integers = integers
        self._grids = {tensor: self._grid(*ends) for tensor, ends in calibration.ranges.items()}
        self._kept: set[tuple[int, int]] = set()
        for op in rounded_ops(graph, calibration.plan):
            self._store(op)

    @classmethod
    def of(
        cls, content: bytes, calibration: Calibration, inputs: Sequence[str], integers: Integers
    ) -> Quantised:
        """The network of a float file and its calibration."""
        return cls(applied(content, calibration), calibration, inputs, integers).eval()

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
        return rounded(values, (*self._grids[tensor], *self._integers.grid))

    def _store(self, op: Op) -> None:
        """Keeps a layer's weights, and its bias if it computes in int8, as integers."""
        weights = twin.kernel_of(op, _constant(self._graph, op, 1))
        steps = torch.from_numpy(scales_of(weights.flatten(1).double().numpy()))
        rows = steps.view(-1, *(1 for _ in weights.shape[1:]))
        whole = (weights / rows).round()
        if op.index not in self._body:
            self._keep(op, 1, whole, steps, torch.int8)
            return
        self._keep(op, 1, whole + self._integers.middle, steps, self._integers.kind)
        if len(op.inputs) < 3 or op.inputs[2] < 0 or not self._integers.biases:
            return
        bias = torch.from_numpy(_constant(self._graph, op, 2).copy())
        step, _ = self._grids[op.inputs[0]]
        self._keep(op, 2, bias / (steps * step), steps * step, torch.int32)

    def _keep(self, op: Op, place: int, values: Tensor, steps: Tensor, kind: torch.dtype) -> None:
        # By op, not by tensor: the scales of a bias that several layers read differ.
        self._kept.add((op.index, place))
        self.register_buffer(f"steps_{op.index}_{place}", values.round().to(kind).contiguous())
        self.register_buffer(f"scales_{op.index}_{place}", steps.float())

    def _constants(self, op: Op) -> dict[int, Tensor]:
        """A layer's weights and bias as the integers hold them."""
        read = self._by_channel if op.index in self._body else _scaled
        return {
            tensor: read(
                self.get_buffer(f"steps_{op.index}_{place}"),
                self.get_buffer(f"scales_{op.index}_{place}"),
            )
            for place, tensor in enumerate(op.inputs)
            if (op.index, place) in self._kept
        }

    def _by_channel(self, steps: Tensor, scales: Tensor) -> Tensor:
        """Weights or a bias of an int8 layer: each output has its scale."""
        if steps.dtype == torch.int32:
            return by_channel(steps, scales, 0, INT32)
        return by_channel(steps, scales, self._integers.middle, self._integers.grid)

    def _grid(self, low: float, high: float) -> tuple[float, int]:
        """The int8 grid of a range, with its integers where the runtime wants them."""
        step, zero = grid_of(low, high)
        return step, zero + self._integers.middle


def rounded(values: Tensor, grid: tuple[float, int, int, int, torch.dtype]) -> Tensor:
    """Values as integers hold them: a step, what stands for 0, the ends and the dtype."""
    quantised = torch.ops.quantized_decomposed.quantize_per_tensor(values, *grid)
    made: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(quantised, *grid)
    return made


def by_channel(
    steps: Tensor, scales: Tensor, zero: int, integers: tuple[int, int, torch.dtype]
) -> Tensor:
    """The numbers that integers stand for, each output with its scale."""
    # Not of the dtype of the weights, in which torch itself would subtract them.
    zeros = torch.full(scales.shape, zero, dtype=torch.int64)
    made: Tensor = torch.ops.quantized_decomposed.dequantize_per_channel(
        steps, scales, zeros, 0, *integers
    )
    return made


def _scaled(steps: Tensor, scales: Tensor) -> Tensor:
    """Weights of a float layer: the integers times the scale of each output.

    Qualcomm's NPU dequantises by channel only what an int8 layer reads.
    """
    whole: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(steps, 1.0, 0, *INT8)
    return whole * scales.view(-1, *(1 for _ in steps.shape[1:]))


def _constant(graph: Graph, op: Op, place: int) -> Array:
    found = graph.constant(op.inputs[place])
    assert found is not None
    return found
