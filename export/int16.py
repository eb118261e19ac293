"""A network in int16, for processors without float32 such as Qualcomm's NPU.

The NPU computes float ops in half precision, which costs up to half a year. It adds products of
16-bit activations and 8-bit weights exactly. It also takes 16-bit weights, but drops the lower half
of some. So each layer here is the sum of two: one has the weights in int8, the other has what int8
leaves of them, in steps 254 times as fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from agecompact.contract import Contract
from agecompact.errors import ConversionError, UsageError
from agecompact.models.complexity import example_inputs
from export import torch_onnx
from export.int8 import twin
from export.int8.graph import Graph, Op
from export.int8.layers import KINDS
from export.int8.qdq import INT8, INT32, by_channel, rounded
from export.int8.ranges import Range
from export.int8.record import AGAIN, Record
from export.int8.rounding import LEVELS
from export.int8.twin import UnknownOpError

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

# The first that has integers of 16 bits.
OPSET = 21

_UINT16 = (0, 2**16 - 1, torch.uint16)
# What leaves the range that the calibration's faces span is cut off; one bit of 16 is cheap.
_WIDER = 2.0
# Ranges that the NPU assumes for what these ops write, whatever the file says: with another one,
# SSR-Net's Tanh was off by half its range, and the age by 20 years, on the NPU alone.
_FIXED: Mapping[str, Range] = {
    "TANH": (-1.0, 1.0 - 2.0**-15),
    "LOGISTIC": (0.0, 1.0 - 2.0**-16),
}
# The place of the second part of the weights behind a layer's three operands.
_REST = 3
_TINY = 1e-12


def exported(content: bytes, record: Record, contract: Contract) -> onnx.ModelProto:
    """The int16 model of a float file.

    Args:
        content: The float32 TFLite file.
        record: Its calibration.
        contract: Of the network, float32 NCHW.

    Raises:
        UsageError: The calibration is of an older version, which did not measure activations.
        ConversionError: The graph has an op that the twin does not know.
    """
    spans = record.calibration(content).spans
    if not spans:
        raise UsageError(
            f"int16 cannot be made with {record.name}",
            why="it is of an older version, which did not measure activations",
            fix=AGAIN,
        )
    inputs = example_inputs(contract, 1)
    try:
        network = Int16(Graph.parse(content), spans, contract.input_names).eval()
        # The exporter would hide the reason.
        network(*inputs)
    except UnknownOpError as unknown:
        raise ConversionError(
            "this network cannot be written in int16",
            why=f"{unknown} is unknown here",
            fix="leave int16 out; --precision fp32 and fp16 have every op",
        ) from None
    return torch_onnx.exported(network, inputs, contract, OPSET)


class Int16(nn.Module):
    """A float graph whose activations are uint16 and whose layers are sums of two, NCHW.

    Args:
        graph: The float graph.
        spans: The range of each activation on faces, by tensor.
        inputs: Names of the inputs, in the order of calls.

    Raises:
        UnknownOpError: The spans end before the graph does, at an op that the twin does not know.
    """

    def __init__(self, graph: Graph, spans: Mapping[int, Range], inputs: Sequence[str]) -> None:
        super().__init__()
        # Registers the operators that torch's exporter writes as QuantizeLinear and its like.
        import torch.ao.quantization.fx._decomposed  # noqa: F401

        self._graph, self._ops = graph, graph.ops
        by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
        self._inputs = [by_name[name] for name in inputs]
        self._ranges = {
            tensor: (low * _WIDER, high * _WIDER) for tensor, (low, high) in spans.items()
        }
        for op in self._ops:
            if op.output not in spans:
                raise UnknownOpError(op.kind)
            if op.kind in _FIXED:
                self._ranges[op.output] = _FIXED[op.kind]
        # By op, the greatest that the second of its two layers can write; only of those that have
        # one.
        self._rest: dict[int, float] = {}
        for op in self._ops:
            if op.kind in KINDS:
                self._store(op)

    def forward(self, *faces: Tensor) -> tuple[Tensor, ...]:
        """The outputs for one face."""
        given = zip(self._inputs, faces, strict=True)
        values = {tensor: _on_grid(face, self._ranges[tensor]) for tensor, face in given}
        for op in self._ops:
            read = {tensor: values[tensor] for tensor in op.inputs if tensor in values}
            made = self._layer(op, read) if op.kind in KINDS else self._computed(op, read)
            made = twin.activated(op, made)
            values[op.output] = _on_grid(made, self._ranges[op.output])
        return tuple(values[tensor] for tensor in self._graph.outputs)

    def _computed(self, op: Op, read: Mapping[int, Tensor]) -> Tensor:
        return twin.before_activation(self._graph, op, read)

    def _layer(self, op: Op, read: Mapping[int, Tensor]) -> Tensor:
        """What a layer computes before its activation, of two parts if it has two."""
        places = [place for place in (1, 2) if self._has(op, place)]
        first = {op.inputs[place]: self._held(op, place) for place in places}
        made = self._computed(op, {**read, **first})
        if op.index not in self._rest:
            return made
        bound = self._rest[op.index]
        low, high = self._ranges[op.output]
        # What an activation such as ReLU cuts off may be cut off here already, but for what the
        # second part can make up for.
        made = _on_grid(made, (low - bound, high + bound))
        second = replace(op, inputs=op.inputs[:2])
        rest = self._computed(second, {**read, op.inputs[1]: self._held(op, _REST)})
        return made + _on_grid(rest, (-bound, bound))

    def _store(self, op: Op) -> None:
        """Keeps a layer's weights as two int8 integers each, and its bias as int32."""
        constant = self._graph.constant(op.inputs[1])
        if constant is None:
            raise UnknownOpError(f"{op.kind} with computed weights")
        weights = twin.kernel_of(op, constant).double()
        step_in = _grid(self._ranges[op.inputs[0]])[0]
        steps = weights.flatten(1).abs().amax(1).clamp(min=_TINY) / LEVELS
        # -1 is an operand that is left out.
        has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
        stored = self._graph.constant(op.inputs[2]) if has_bias else None
        if stored is not None:
            bias = torch.from_numpy(stored.copy()).double()
            # Its step is a product of two others; with small weights it would not fit in int32.
            steps = torch.maximum(steps, bias.abs() / (step_in * (2**31 - 1)))
            self._keep(op, 2, bias / (steps * step_in), steps * step_in, torch.int32)
        rows = steps.view(-1, *(1 for _ in weights.shape[1:]))
        whole = (weights / rows).round()
        rest = ((weights / rows - whole) * 2 * LEVELS).round()
        self._keep(op, 1, whole, steps, torch.int8)
        if not rest.any():
            return
        self._keep(op, _REST, rest, steps / (2 * LEVELS), torch.int8)
        most = max(map(abs, self._ranges[op.inputs[0]]))
        sums = (rest * rows / (2 * LEVELS)).flatten(1).abs().sum(1)
        self._rest[op.index] = float(sums.max()) * most

    def _keep(self, op: Op, place: int, values: Tensor, steps: Tensor, kind: torch.dtype) -> None:
        self.register_buffer(f"steps_{op.index}_{place}", values.round().to(kind).contiguous())
        self.register_buffer(f"scales_{op.index}_{place}", steps.float())

    def _has(self, op: Op, place: int) -> bool:
        return f"steps_{op.index}_{place}" in self._buffers

    def _held(self, op: Op, place: int) -> Tensor:
        """The numbers that the integers of an operand stand for, each output with its scale."""
        steps = self.get_buffer(f"steps_{op.index}_{place}")
        scales = self.get_buffer(f"scales_{op.index}_{place}")
        return by_channel(steps, scales, 0, INT32 if place == 2 else INT8)


def _grid(ends: Range) -> tuple[float, int]:
    """The step of a range's 65,536 integers, and the one that stands for 0."""
    low, high = ends
    step = max(high - low, _TINY) / _UINT16[1]
    return step, round(-low / step)


def _on_grid(values: Tensor, ends: Range) -> Tensor:
    return rounded(values, (*_grid(ends), *_UINT16))
