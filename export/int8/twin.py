"""Runs a TFLite graph in torch, op by op: in float, and with activations on int8 grids.

Maps are NCHW here, kernels OIHW, and the first axis of maps counts faces. Where a graph stacks the
crops of a face on its first axis, all faces of the first crop come first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.int8.graph import Array, Graph, Op

if TYPE_CHECKING:
    from torch import Tensor

_SAME = 0
_NONE = 0
# By number in schema.fbs, `ActivationFunctionType`.
_ACTIVATIONS: Mapping[int, Callable[[Tensor], Tensor]] = {
    _NONE: lambda values: values,
    1: lambda values: values.relu(),
    2: lambda values: values.clamp(-1, 1),
    3: lambda values: values.clamp(0, 6),
}
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)
# Of an axis of NHWC, in NCHW.
_AXES = (0, 2, 3, 1)


class UnknownOpError(Exception):
    """The twin cannot run an op; the text says which."""


@dataclass(frozen=True)
class Call:
    """One op with its operands.

    Attributes:
        graph: Its graph.
        op: The op.
        values: The activations that it reads, by tensor; a constant among them replaces that of the
            graph.
    """

    graph: Graph
    op: Op
    values: Mapping[int, Tensor]

    def operand(self, place: int) -> Tensor:
        """An operand, maps in NCHW."""
        tensor = self.op.inputs[place]
        if tensor in self.values:
            return self.values[tensor]
        return as_operand(self.constant(place))

    def constant(self, place: int) -> Array:
        """An operand that must be constant, as stored."""
        found = self.graph.constant(self.op.inputs[place])
        if found is None:
            raise UnknownOpError(f"{self.op.kind} with a computed operand")
        return found

    @property
    def weights(self) -> Tensor:
        """The weights of a layer: a kernel as OIHW, or a matrix `(outputs, inputs)`."""
        tensor = self.op.inputs[1]
        given = self.values.get(tensor)
        return kernel_of(self.op, self.constant(1)) if given is None else given

    @property
    def bias(self) -> Tensor | None:
        """The third operand, if there is one."""
        return self.operand(2) if len(self.op.inputs) > 2 and self.op.inputs[2] >= 0 else None

    @property
    def faces(self) -> int:
        """How many faces there are."""
        read = next(tensor for tensor in self.op.inputs if tensor in self.values)
        return len(self.values[read]) // max(1, (*self.graph.shape(read), 1)[0])


def run(graph: Graph, op: Op, values: Mapping[int, Tensor]) -> Tensor:
    """What an op writes, for a batch of faces.

    Raises:
        UnknownOpError: The twin cannot run it.
    """
    return activated(op, before_activation(graph, op, values))


def before_activation(graph: Graph, op: Op, values: Mapping[int, Tensor]) -> Tensor:
    """What an op computes before the activation that it is fused with.

    Raises:
        UnknownOpError: The twin cannot run it.
    """
    if op.kind not in _OPS:
        raise UnknownOpError(op.kind)
    made: Tensor = _OPS[op.kind](Call(graph, op, values))
    return made


def activated(op: Op, values: Tensor) -> Tensor:
    """The activation that an op is fused with, of what it computed.

    Raises:
        UnknownOpError: The activation is unknown.
    """
    function = getattr(op.options, "fusedActivationFunction", _NONE)
    if function not in _ACTIVATIONS:
        raise UnknownOpError(f"activation {function}")
    return _ACTIVATIONS[function](values)


def walk(graph: Graph, faces: Mapping[int, Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Every activation of a graph in the order of execution, as far as the twin can run it.

    Args:
        graph: A float graph.
        faces: By input tensor, a batch of faces, NCHW.

    Yields:
        The tensor and its values, which are dropped after their last reader.
    """
    import torch

    last = {tensor: op.index for op in graph.ops for tensor in op.inputs}
    values = dict(faces)
    with torch.no_grad():
        for op in graph.ops:
            try:
                values[op.output] = run(graph, op, values)
            except UnknownOpError:
                return
            yield op.output, values[op.output]
            for tensor in [t for t in values if last.get(t, -1) <= op.index]:
                del values[tensor]


def bound(graph: Graph, faces: Mapping[str, Array]) -> dict[int, Tensor]:
    """Faces by input tensor of a graph, instead of its name."""
    import torch

    return {
        tensor: torch.from_numpy(np.ascontiguousarray(faces[graph.name(tensor)]))
        for tensor in graph.inputs
    }


def as_operand(constant: Array) -> Tensor:
    """A constant as ops read it here: maps in NCHW."""
    import torch

    read = torch.from_numpy(constant.copy())
    return read.permute(_TO_NCHW) if read.ndim == 4 else read


def kernel_of(op: Op, constant: Array) -> Tensor:
    """A layer's weights as stored, as ops read them here: OIHW, or `(outputs, inputs)`."""
    read = as_operand(constant)
    return read.transpose(0, 1) if op.kind == "DEPTHWISE_CONV_2D" else read


def as_stored(op: Op, constant: Tensor) -> Array:
    """A layer's weights or bias as the graph stores them, the inverse of `kernel_of`."""
    read = constant.detach()
    if read.ndim == 4:
        read = read.transpose(0, 1) if op.kind == "DEPTHWISE_CONV_2D" else read
        read = read.permute(_TO_NHWC)
    made: Array = read.contiguous().numpy().copy()
    return made


def padded(op: Op, maps: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Maps with the zeros around them that a convolution with padding SAME reads."""
    from torch.nn import functional

    if op.options.padding != _SAME:
        return maps
    sides = []
    strides = (op.options.strideH, op.options.strideW)
    for side, size, stride in zip(maps.shape[2:], kernel, strides, strict=True):
        missing = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        sides.append((missing // 2, missing - missing // 2))
    (top, bottom), (left, right) = sides
    return functional.pad(maps, (left, right, top, bottom))


def _convolution(call: Call) -> Tensor:
    from torch.nn import functional

    kernel, options = call.weights, call.op.options
    grouped = call.op.kind == "DEPTHWISE_CONV_2D"
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        raise UnknownOpError(f"{call.op.kind} with dilation")
    maps = padded(call.op, call.operand(0), (kernel.shape[2], kernel.shape[3]))
    groups = maps.shape[1] if grouped else 1
    if grouped and len(kernel) != groups:
        raise UnknownOpError("DEPTHWISE_CONV_2D with a depth multiplier")
    strides = (options.strideH, options.strideW)
    return functional.conv2d(maps, kernel, call.bias, stride=strides, groups=groups)


def _linear(call: Call) -> Tensor:
    from torch.nn import functional

    return functional.linear(call.operand(0).flatten(1), call.weights, call.bias)


def _pool(call: Call) -> Tensor:
    from torch.nn import functional

    options = call.op.options
    size, strides = (
        (options.filterHeight, options.filterWidth),
        (options.strideH, options.strideW),
    )
    maps = call.operand(0)
    if options.padding == _SAME and padded(call.op, maps, size).shape != maps.shape:
        raise UnknownOpError(f"{call.op.kind} with padding")
    if call.op.kind == "MAX_POOL_2D":
        return functional.max_pool2d(maps, size, strides)
    return functional.avg_pool2d(maps, size, strides)


def _reduced(call: Call) -> Tensor:
    values = call.operand(0)
    axes = [int(axis) % values.ndim for axis in np.ravel(call.constant(1))]
    if values.ndim == 4:
        axes = [_AXES[axis] for axis in axes]
    keeps = bool(call.op.options.keepDims)
    if 0 in axes or (values.ndim == 4 and not keeps and set(axes) != {2, 3}):
        raise UnknownOpError(f"{call.op.kind} over other axes")
    return (values.mean if call.op.kind == "MEAN" else values.sum)(dim=axes, keepdim=keeps)


def _reshaped(call: Call) -> Tensor:
    values = call.operand(0)
    rows, *sides = call.graph.shape(call.op.output)
    if values.ndim == 4:
        values = values.permute(_TO_NHWC)
    made = values.reshape(rows * call.faces, *sides)
    return made.permute(_TO_NCHW) if made.ndim == 4 else made


def _concatenated(call: Call) -> Tensor:
    import torch

    parts = [call.operand(place) for place in range(len(call.op.inputs))]
    axis = int(call.op.options.axis) % parts[0].ndim
    return torch.cat(parts, _AXES[axis] if parts[0].ndim == 4 else axis)


def _sliced(call: Call) -> Tensor:
    """Rows of one crop, of a tensor that stacks the crops of a face."""
    values = call.operand(0)
    begin = np.ravel(call.constant(1))
    shape, made = call.graph.shape(call.op.inputs[0]), call.graph.shape(call.op.output)
    if any(begin[1:]) or made[1:] != shape[1:] or len(made) != len(shape):
        raise UnknownOpError("STRIDED_SLICE of other axes")
    first, faces = int(begin[0]), call.faces
    return values[first * faces : (first + made[0]) * faces]


def _with_border(call: Call) -> Tensor:
    from torch.nn import functional

    sides = call.constant(1)
    if len(sides) != 4 or sides[0].any() or sides[3].any():
        raise UnknownOpError("PAD of other axes")
    (top, bottom), (left, right) = (map(int, sides[axis]) for axis in (1, 2))
    return functional.pad(call.operand(0), (left, right, top, bottom))


def _of_two(name: str) -> Callable[[Call], Tensor]:
    def computed(call: Call) -> Tensor:
        import torch

        first, second = call.operand(0), call.operand(1)
        if {first.ndim, second.ndim} == {4, 1}:
            # One value a channel, which is the last axis of the file's maps.
            first, second = (v if v.ndim == 4 else v.view(-1, 1, 1) for v in (first, second))
        made: Tensor = getattr(torch, name)(first, second)
        return made

    return computed


def _of_one(name: str) -> Callable[[Call], Tensor]:
    def computed(call: Call) -> Tensor:
        import torch

        made: Tensor = getattr(torch, name)(call.operand(0))
        return made

    return computed


def _softmax(call: Call) -> Tensor:
    return call.operand(0).softmax(-1)


def _hard_swish(call: Call) -> Tensor:
    from torch.nn import functional

    return functional.hardswish(call.operand(0))


_OPS: Mapping[str, Callable[[Call], Any]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _linear,
    "MAX_POOL_2D": _pool,
    "AVERAGE_POOL_2D": _pool,
    "MEAN": _reduced,
    "SUM": _reduced,
    "RESHAPE": _reshaped,
    "CONCATENATION": _concatenated,
    "STRIDED_SLICE": _sliced,
    "PAD": _with_border,
    "ADD": _of_two("add"),
    "SUB": _of_two("sub"),
    "MUL": _of_two("mul"),
    "DIV": _of_two("div"),
    "TANH": _of_one("tanh"),
    "LOGISTIC": _of_one("sigmoid"),
    "RELU": _of_one("relu"),
    "SOFTMAX": _softmax,
    "HARD_SWISH": _hard_swish,
}
