"""Lets a TFLite file take pictures as cameras give them: bytes, RGB, NHWC.

The file is changed once it is finished, whatever its precision. Its inputs become uint8 with a
DEQUANTIZE behind each, which XNNPACK runs in its partition. The tensors that the network reads hold
what they did before, so its answers are the same to within rounding: convolutions add colours in
another order, and a mean and deviation of each colour are a product and a sum. An int8 network,
which adds integers, answers the same bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Contract, Quantization
from export.flatbuffer import pack_once
from export.int8.graph import Array, Graph, Op
from export.int8.slim import drop_unread

_VALID = 0
_LEVELS = 256
_NHWC_CHANNELS = 3
# Ops that write each colour to where they read it.
_PER_COLOUR = frozenset({"QUANTIZE", "DEQUANTIZE"})
# Of the greatest input value: rounding in float32.
_ROUNDING = 2.0**-23


@dataclass(frozen=True)
class _Normalisation:
    """How levels become the input values of a network.

    Attributes:
        quantization: What a level stands for.
        scale: Multiplies that for each colour, `(C,)` in the order of the contract.
        shift: Is added then.
    """

    quantization: Quantization
    scale: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]

    @property
    def is_whole(self) -> bool:
        """Whether the quantisation is all of it."""
        return bool((self.scale == 1).all() and not self.shift.any())


def take_images(content: bytes, contract: Contract) -> bytes:
    """Makes the inputs of a TFLite file uint8 pictures, RGB or grey.

    Colours are reversed for a BGR network in the weights of its first convolutions; no op moves
    them, unless what reads the picture is no convolution.

    Args:
        content: A file of any precision whose inputs are float32 tensors, NHWC.
        contract: Of the network: the colours and values of those tensors.

    Returns:
        The file, which `contract.of_images()` describes. Inputs have the same names and order.
    """
    graph = Graph.parse(content)
    how = _normalisation(contract)
    turned = contract.color_order == "BGR"
    if turned and (filters := _first_filters(graph)) is not None:
        for tensor, values in filters.items():
            graph.set_constant(tensor, values[..., ::-1])
        how = _Normalisation(how.quantization, how.scale[::-1], how.shift[::-1])
        turned = False
    steps = _Steps(graph, how, turned)
    for tensor in graph.inputs:
        steps.add(tensor)
    drop_unread(graph.model)
    return pack_once(graph.model)


def _normalisation(contract: Contract) -> _Normalisation:
    """With a quantisation that is all of it, if one gives the same values."""
    low, high = contract.value_range
    scales = (high - low) / (_LEVELS - 1) / np.array(contract.std)
    shifts = (low - np.array(contract.mean)) / np.array(contract.std)
    ones, zeros = np.ones(contract.channels, np.float32), np.zeros(contract.channels, np.float32)
    if (found := _quantization(contract, float(scales[0]), float(shifts[0]))) is not None:
        return _Normalisation(found, ones, zeros)
    plain = Quantization(1.0, 0)
    return _Normalisation(plain, scales.astype(np.float32), shifts.astype(np.float32))


def _quantization(contract: Contract, scale: float, shift: float) -> Quantization | None:
    """What gives each colour the contract's values; None if no quantisation does.

    Args:
        contract: Of the network.
        scale: Of its first colour.
        shift: Of its first colour.
    """
    if scale <= 0:
        return None
    zero = int(np.clip(np.rint(-shift / scale), 0, _LEVELS - 1))
    table = contract.table()[0]
    levels = np.arange(_LEVELS, dtype=np.float32)[:, np.newaxis]
    made = (levels - np.float32(zero)) * np.float32(scale)
    limit = _ROUNDING * float(np.abs(table).max())
    if np.abs(made - table).max() > limit:
        return None
    return Quantization(float(np.float32(scale)), zero)


def _first_filters(graph: Graph) -> dict[int, Array] | None:
    """Constants whose last axis is the inputs' colours, by tensor.

    They are the filters that mix the colours, and those that shrink the image before, colour by
    colour. None if anything else reads the colours, or reads those constants.
    """
    coloured = set(graph.inputs)
    constants: dict[int, list[int]] = {}
    for op in graph.ops:
        if not coloured.intersection(op.inputs):
            continue
        if op.kind == "CONV_2D" and op.inputs[0] in coloured:
            constants.setdefault(op.inputs[1], []).append(op.index)
        elif _filters_each_colour(graph, op):
            for tensor in op.inputs[1:]:
                constants.setdefault(tensor, []).append(op.index)
            coloured.add(op.output)
        elif _keeps_colours(graph, op, coloured):
            coloured.add(op.output)
        else:
            return None
    if coloured.intersection(graph.outputs):
        return None
    found = {}
    for tensor, readers in constants.items():
        restoring = graph.producer(tensor)  # Filters in float16 are restored by an op.
        stored, read_by = tensor, readers
        if restoring is not None:
            stored, read_by = restoring.inputs[0], [restoring.index]
        values = graph.constant(stored) if graph.is_readable(stored) else None
        known = restoring is None or restoring.kind == "DEQUANTIZE"
        if values is None or not known or _readers(graph, tensor) != readers:
            return None
        if _readers(graph, stored) != read_by:
            return None
        found[stored] = values
    return found


def _filters_each_colour(graph: Graph, op: Op) -> bool:
    """Whether an op filters each colour by itself, with float constants.

    Quantised ones have a scale for each colour, which would have to be reversed as well.
    """
    if op.kind != "DEPTHWISE_CONV_2D" or op.options.depthMultiplier != 1 or -1 in op.inputs:
        return False
    return graph.is_float(op.inputs[1])


def _readers(graph: Graph, tensor: int) -> list[int]:
    return [op.index for op in graph.readers(tensor)]


def _keeps_colours(graph: Graph, op: Op, coloured: set[int]) -> bool:
    if op.kind == "CONCATENATION":
        axis = op.options.axis % len(graph.shape(op.output))
        return axis != _NHWC_CHANNELS and coloured.issuperset(op.inputs)
    return op.kind in _PER_COLOUR


class _Steps:
    """Adds the ops from a picture to an input of the network.

    Args:
        graph: Is changed.
        how: In the order of the picture's colours, unless they are turned.
        turned: Whether to reverse the colours.
    """

    def __init__(self, graph: Graph, how: _Normalisation, turned: bool) -> None:
        self._graph, self._how, self._turned = graph, how, turned
        self._place = 0
        self._constants: dict[str, int] = {}

    def add(self, tensor: int) -> None:
        """Puts a picture in the place of an input, which is computed from it."""
        graph, name = self._graph, self._graph.name(tensor)
        picture = graph.add_tensor(name, graph.shape(tensor), "UINT8", self._how.quantization)
        graph.replace_input(tensor, picture)
        graph.rename(tensor, f"{name}_values")
        if self._how.is_whole and not self._turned:
            self._insert("DEQUANTIZE", (picture,), tensor)
            return
        levels = self._after("DEQUANTIZE", (picture,), f"{name}_levels", graph.shape(tensor))
        if self._turned:
            self._mix(levels, tensor)
        else:
            self._normalise(levels, tensor)

    def _normalise(self, levels: int, tensor: int) -> None:
        """A product and a sum for each colour, by rows: XNNPACK is slow on an axis of three."""
        graph, name = self._graph, self._graph.name(tensor)
        _, height, width, channels = shape = graph.shape(tensor)
        rows = (1, height, width * channels)
        scale = self._constant("scale", np.tile(self._how.scale, width))
        shift = self._constant("shift", np.tile(self._how.shift, width))
        flat = self._after("RESHAPE", (levels,), f"{name}_rows", rows, self._to(rows))
        scaled = self._after("MUL", (flat, scale), f"{name}_scaled", rows)
        shifted = self._after("ADD", (scaled, shift), f"{name}_shifted", rows)
        self._insert("RESHAPE", (shifted,), tensor, self._to(shape))

    def _to(self, shape: tuple[int, ...]) -> Any:
        options = self._graph.schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        return options

    def _mix(self, levels: int, tensor: int) -> None:
        """A convolution that reverses the colours, and scales and shifts them."""
        mixing = np.diag(self._how.scale)[:, ::-1][:, np.newaxis, np.newaxis]
        options = self._graph.schema.Conv2DOptionsT()
        options.padding = _VALID
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        constants = self._constant("mixing", mixing), self._constant("shift", self._how.shift)
        self._insert("CONV_2D", (levels, *constants), tensor, options)

    def _after(
        self,
        kind: str,
        inputs: tuple[int, ...],
        name: str,
        shape: tuple[int, ...],
        options: Any = None,
    ) -> int:
        """Adds an op that writes a new tensor."""
        made = self._graph.add_tensor(name, shape)
        self._insert(kind, inputs, made, options)
        return made

    def _insert(self, kind: str, inputs: tuple[int, ...], output: int, options: Any = None) -> None:
        self._graph.insert_op(self._place, kind, inputs, output, options)
        self._place += 1

    def _constant(self, name: str, value: Array) -> int:
        if name not in self._constants:
            self._constants[name] = self._graph.add_constant(f"picture_{name}", value)
        return self._constants[name]
