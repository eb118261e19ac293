"""A TFLite model as a graph of ops, for reading and changing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.contract import Quantization

Array = npt.NDArray[Any]

# schema.fbs, `TensorType`.
_DTYPES: Mapping[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    9: np.int8,
}
# Buffer 0 is the empty one.
NO_BUFFER = 0


@dataclass(frozen=True)
class Op:
    """An op of the graph.

    Attributes:
        index: Its place in the order of execution.
        kind: Its name in the schema, such as `CONV_2D`.
        inputs: Tensors that it reads, activations and constants; -1 for one that is left out.
        output: The tensor that it writes.
        options: Its `builtinOptions`.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    output: int
    options: Any


def moved(index: int, place: int) -> int:
    """The place of an op after another was put at a place in the order of execution."""
    return index + (index >= place)


class Graph:
    """The only subgraph of a model, by index.

    Args:
        model: A `schema.ModelT`; changes go into it.
        schema: `ai_edge_litert.schema_py_generated`.
    """

    def __init__(self, model: Any, schema: Any) -> None:
        self.model = model
        self.schema = schema
        (self._graph,) = model.subgraphs

    @classmethod
    def parse(cls, content: bytes) -> Graph:
        """Reads a file, with the buffers that large files keep behind the FlatBuffer."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(content, 0)
        for buffer in model.buffers:
            if buffer.offset > 1 and buffer.data is None:
                held = content[buffer.offset : buffer.offset + buffer.size]
                buffer.data = np.frombuffer(held, np.uint8)
                buffer.offset = buffer.size = 0
        return cls(model, schema)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Tensors that the graph reads."""
        return tuple(int(i) for i in self._graph.inputs)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Tensors that the graph writes."""
        return tuple(int(i) for i in self._graph.outputs)

    @property
    def ops(self) -> tuple[Op, ...]:
        """The ops, in the order of execution. Each writes one tensor."""
        from agecompact.runtimes.litert import BUILTIN_OPS

        return tuple(
            Op(
                index,
                BUILTIN_OPS[self.model.operatorCodes[op.opcodeIndex].builtinCode],
                tuple(int(i) for i in op.inputs),
                int(op.outputs[0]),
                op.builtinOptions,
            )
            for index, op in enumerate(self._graph.operators)
        )

    def name(self, tensor: int) -> str:
        """The name of a tensor."""
        name: bytes = self._graph.tensors[tensor].name
        return name.decode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor; NHWC for maps."""
        shape = self._graph.tensors[tensor].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def constant(self, tensor: int) -> Array | None:
        """The value of a constant; None for an activation."""
        held = self._graph.tensors[tensor]
        data = self.model.buffers[held.buffer].data
        if data is None or not len(data):
            return None
        values = np.frombuffer(bytes(bytearray(data)), _DTYPES[held.type])
        return values.reshape(self.shape(tensor))

    def is_readable(self, tensor: int) -> bool:
        """Whether NumPy has the type of a tensor; it has none of less than a byte."""
        return self._graph.tensors[tensor].type in _DTYPES

    def is_float(self, tensor: int) -> bool:
        """Whether a tensor is float32."""
        return bool(self._graph.tensors[tensor].type == self.schema.TensorType.FLOAT32)

    def set_constant(self, tensor: int, value: Array) -> None:
        """Gives a constant other values of its type, in a buffer of its own."""
        stored = self.schema.BufferT()
        kind = np.dtype(_DTYPES[self._graph.tensors[tensor].type]).newbyteorder("<")
        stored.data = np.frombuffer(value.astype(kind).tobytes(), np.uint8)
        self._graph.tensors[tensor].buffer = len(self.model.buffers)
        self.model.buffers.append(stored)

    def add_constant(self, name: str, value: Array) -> int:
        """Adds a float constant and returns its tensor."""
        tensor = self.add_tensor(name, value.shape)
        self.set_constant(tensor, value)
        return tensor

    def add_tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str = "FLOAT32",
        quantization: Quantization | None = None,
    ) -> int:
        """Adds a tensor without a value and returns it.

        Args:
            name: Its name.
            shape: Its shape.
            kind: Its type in the schema, such as `UINT8`.
            quantization: What its integers stand for.
        """
        made = self.schema.TensorT()
        made.name, made.buffer = name.encode(), NO_BUFFER
        made.type = getattr(self.schema.TensorType, kind)
        made.shape = np.array(shape, np.int32)
        if quantization is not None:
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale = np.array([quantization.scale], np.float32)
            made.quantization.zeroPoint = np.array([quantization.zero_point], np.int64)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def rename(self, tensor: int, name: str) -> None:
        """Gives a tensor another name; signatures keep theirs."""
        self._graph.tensors[tensor].name = name.encode()

    def replace_input(self, old: int, new: int) -> None:
        """Makes another tensor an input in the place of one, also in signatures."""
        self._graph.inputs = np.array([new if i == old else i for i in self.inputs], np.int32)
        for signature in self.model.signatureDefs or ():
            for entry in signature.inputs:
                if entry.tensorIndex == old:
                    entry.tensorIndex = new

    def add_metadata(self, name: str, content: bytes) -> None:
        """Adds an entry to the metadata of the file."""
        stored = self.schema.BufferT()
        stored.data = np.frombuffer(content, np.uint8)
        entry = self.schema.MetadataT()
        entry.name, entry.buffer = name.encode(), len(self.model.buffers)
        self.model.buffers.append(stored)
        self.model.metadata = [*(self.model.metadata or ()), entry]

    def readers(self, tensor: int) -> Iterator[Op]:
        """The ops that read a tensor."""
        return (op for op in self.ops if tensor in op.inputs)

    def is_read_once(self, tensor: int) -> bool:
        """Whether exactly one op reads a tensor."""
        return sum(1 for _ in self.readers(tensor)) == 1

    def producer(self, tensor: int) -> Op | None:
        """The op that writes a tensor; None for an input or a constant."""
        return next((op for op in self.ops if op.output == tensor), None)

    def replace_op(self, index: int, kind: str, inputs: tuple[int, ...], options: Any) -> None:
        """Puts another op in the place of one; it writes the same tensor."""
        self._set(self._graph.operators[index], kind, inputs, options)

    def insert_op(
        self, place: int, kind: str, inputs: tuple[int, ...], output: int, options: Any = None
    ) -> None:
        """Adds an op before the one at a place in the order of execution.

        Args:
            place: Its own place.
            kind: Its name in the schema.
            inputs: Tensors that it reads.
            output: The tensor that it writes.
            options: Its `builtinOptions`; None if it needs none.
        """
        made = self.schema.OperatorT()
        made.outputs = np.array([output], np.int32)
        self._graph.operators.insert(place, made)
        self._set(made, kind, inputs, options)

    def _set(self, op: Any, kind: str, inputs: tuple[int, ...], options: Any) -> None:
        op.opcodeIndex = self._code(kind)
        op.inputs = np.array(inputs, np.int32)
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(self.schema.BuiltinOptions, name)
            op.builtinOptions = options

    def redirect(self, tensor: int, to: int) -> None:
        """Makes the readers of a tensor read another, but for the op that writes that one."""
        for op in self._graph.operators:
            if to not in op.outputs:
                read = [to if int(each) == tensor else int(each) for each in op.inputs]
                op.inputs = np.array(read, np.int32)

    def exchange(self, first: int, second: int) -> None:
        """Exchanges two ops, of which the second alone reads what the first writes.

        The second then reads what the first did, and the first reads what the second writes.
        """
        operators, tensors = self._graph.operators, self._graph.tensors
        before, after = operators[first], operators[second]
        between, last = int(before.outputs[0]), int(after.outputs[0])
        tensors[between].shape = tensors[last].shape.copy()
        after.inputs, before.inputs = before.inputs, after.inputs
        after.outputs, before.outputs = before.outputs, after.outputs
        operators[first], operators[second] = after, before

    def _code(self, kind: str) -> int:
        wanted = getattr(self.schema.BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if code.builtinCode == wanted:
                return index
        made = self.schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = wanted
        made.version = 1
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1
