"""A TFLite model as a graph of ops, for reading and changing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# schema.fbs, `TensorType`.
_DTYPES = {0: np.float32, 2: np.int32, 4: np.int64, 9: np.int8}
_FLOAT32 = 0
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

    def set_constant(self, tensor: int, value: Array) -> None:
        """Gives a float constant other values, in a buffer of its own."""
        stored = self.schema.BufferT()
        stored.data = np.frombuffer(value.astype("<f4").tobytes(), np.uint8)
        self._graph.tensors[tensor].buffer = len(self.model.buffers)
        self.model.buffers.append(stored)

    def add_constant(self, name: str, value: Array) -> int:
        """Adds a float constant and returns its tensor."""
        tensor = self._add_tensor(name, value.shape)
        self.set_constant(tensor, value)
        return tensor

    def _add_tensor(self, name: str, shape: tuple[int, ...]) -> int:
        made = self.schema.TensorT()
        made.name, made.type, made.buffer = name.encode(), _FLOAT32, NO_BUFFER
        made.shape = np.array(shape, np.int32)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def readers(self, tensor: int) -> Iterator[Op]:
        """The ops that read a tensor."""
        return (op for op in self.ops if tensor in op.inputs)

    def producer(self, tensor: int) -> Op | None:
        """The op that writes a tensor; None for an input or a constant."""
        return next((op for op in self.ops if op.output == tensor), None)

    def replace_op(self, index: int, kind: str, inputs: tuple[int, ...], options: Any) -> None:
        """Puts another op in the place of one; it writes the same tensor."""
        op = self._graph.operators[index]
        op.opcodeIndex = self._code(kind)
        op.inputs = np.array(inputs, np.int32)
        name = type(options).__name__.removesuffix("T")
        op.builtinOptionsType = getattr(self.schema.BuiltinOptions, name)
        op.builtinOptions = options

    def insert_op(
        self, kind: str, inputs: tuple[int, ...], name: str, shape: tuple[int, ...], options: Any
    ) -> int:
        """Puts an op before all others and returns the tensor that it writes.

        Args:
            kind: Its name in the schema.
            inputs: Tensors that it reads: inputs of the graph, or constants.
            name: Name of the tensor that it writes.
            shape: Shape of that tensor.
            options: Its `builtinOptions`.
        """
        made = self.schema.OperatorT()
        made.outputs = np.array([self._add_tensor(name, shape)], np.int32)
        self._graph.operators.insert(0, made)
        self.replace_op(0, kind, inputs, options)
        return int(made.outputs[0])

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
