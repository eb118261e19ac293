"""The program of a package as frozen values: functions' types, ops, constants not yet decoded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agecompact.errors import UsageError
from agecompact.runtimes.mil.dtypes import DType, by_number

_MAIN = "main"
# What a function or a block may say of itself that changes nothing here: the shapes of flexible
# inputs are told by the types of its inputs as well.
_KNOWN_ATTRIBUTES = frozenset({"FlexibleShapeInformation"})


@dataclass(frozen=True)
class TensorType:
    """Type of a tensor.

    Attributes:
        dtype: Of its elements.
        shape: None in place of a number where only the run tells; None altogether where not even
            the rank is known.
    """

    dtype: DType
    shape: tuple[int | None, ...] | None

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape of a constant.

        Raises:
            UsageError: It is not all known.
        """
        if self.shape is None or any(size is None for size in self.shape):
            raise UsageError("a constant has no fixed shape", why=f"its type says {self}")
        return tuple(size for size in self.shape if size is not None)

    @property
    def elements(self) -> int:
        """How many elements a constant has; 1 for a scalar."""
        return math.prod(self.static_shape)

    def admits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of that shape has this type."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            known is None or known == size for known, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype.name}[...]"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype.name}[{sizes}]"


@dataclass(frozen=True)
class Named:
    """A name with its type: an input of the program, or what an op writes."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class BlobPlace:
    """Where a constant's data stand: file as the program calls it, offset of the record."""

    file: str
    offset: int


@dataclass(frozen=True)
class Constant:
    """A constant, not yet decoded.

    Attributes:
        type: Its type.
        data: A place in a blob file, packed bytes, or the elements themselves.
    """

    type: TensorType
    data: BlobPlace | bytes | tuple[Any, ...]


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        kind: Its type in MIL: `conv`.
        name: Its own name; that of what it writes where it has none.
        inputs: By parameter, in the order of their names: names of values, or constants written in
            place.
        outputs: What it writes.
        attributes: Constants by name, the op's own name left out.
    """

    kind: str
    name: str
    inputs: Mapping[str, tuple[str | Constant, ...]]
    outputs: tuple[Named, ...]
    attributes: Mapping[str, Constant]

    def __str__(self) -> str:
        return f"op '{self.name}' ({self.kind})"


@dataclass(frozen=True)
class Program:
    """The main function of a package.

    Attributes:
        opset: The version of the ops, `CoreML6` for iOS 16.
        inputs: In order.
        ops: Each after those it reads.
        outputs: Names of what it gives.
    """

    opset: str
    inputs: tuple[Named, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]


def read_program(specification: Any) -> Program:
    """The program inside a `Model` message.

    Raises:
        UsageError: The model is no ML Program, has no main function, or uses what is not supported:
            nested blocks, or values that are no tensors.
    """
    kind = specification.WhichOneof("Type")
    if kind != "mlProgram":
        raise UsageError(
            "the package holds no ML Program",
            why=f"it holds '{kind}'",
            fix="convert with convert_to='mlprogram'",
        )
    functions = specification.mlProgram.functions
    if _MAIN not in functions:
        raise UsageError(f"the program has no function '{_MAIN}'")
    main = functions[_MAIN]
    if main.opset not in main.block_specializations:
        raise UsageError(f"the program holds no block of its own opset '{main.opset}'")
    block = main.block_specializations[main.opset]
    unknown = {*main.attributes, *block.attributes} - _KNOWN_ATTRIBUTES
    if unknown or block.inputs:
        raise UsageError(
            "the program says more than the reference runtime understands",
            why=f"of its main function: {', '.join(sorted(unknown)) or 'inputs of a block'}",
        )
    return Program(
        main.opset,
        tuple(_named(value, f"input '{value.name}'") for value in main.inputs),
        tuple(_op(op) for op in block.operations),
        tuple(block.outputs),
    )


def _op(op: Any) -> Op:
    first = op.outputs[0].name if op.outputs else ""
    attributes = {name: _constant(value, op.type) for name, value in sorted(op.attributes.items())}
    own = attributes.pop("name", None)
    name = own.data[0] if own is not None and isinstance(own.data, tuple) and own.data else first
    where = f"op '{name}' ({op.type})"
    if op.blocks:
        raise UsageError(
            f"{where} cannot run",
            why="it holds blocks of its own, which the reference runtime does not run",
        )
    # A protobuf map has no order of its own.
    inputs = {
        parameter: tuple(_binding(binding, where) for binding in argument.arguments)
        for parameter, argument in sorted(op.inputs.items())
    }
    outputs = tuple(_named(value, where) for value in op.outputs)
    return Op(op.type, str(name), inputs, outputs, attributes)


def _binding(binding: Any, where: str) -> str | Constant:
    kind = binding.WhichOneof("binding")
    if kind == "name":
        return str(binding.name)
    if kind == "value":
        return _constant(binding.value, where)
    raise UsageError(f"{where} has a parameter without a value")


def _named(value: Any, where: str) -> Named:
    return Named(value.name, _tensor_type(value.type, where))


def _tensor_type(type_: Any, where: str) -> TensorType:
    kind = type_.WhichOneof("type")
    if kind != "tensorType":
        raise UsageError(
            f"{where} is not supported",
            why=f"it handles a {str(kind).removesuffix('Type')}, not a tensor",
        )
    tensor = type_.tensorType
    dtype = by_number(tensor.dataType, where)
    shape: list[int | None] = []
    for dimension in tensor.dimensions:
        if dimension.WhichOneof("dimension") == "constant":
            shape.append(int(dimension.constant.size))
        elif dimension.unknown.variadic:
            return TensorType(dtype, None)
        else:
            shape.append(None)
    if tensor.rank not in (-1, len(shape)):
        raise UsageError(f"{where} is broken", why=f"rank {tensor.rank}, {len(shape)} dimensions")
    return TensorType(dtype, tuple(shape))


def _constant(value: Any, where: str) -> Constant:
    type_ = _tensor_type(value.type, where)
    if value.WhichOneof("value") == "blobFileValue":
        blob = value.blobFileValue
        return Constant(type_, BlobPlace(blob.fileName, int(blob.offset)))
    immediate = value.immediateValue
    kind = immediate.tensor.WhichOneof("value")
    if immediate.WhichOneof("value") != "tensor" or kind is None:
        # An empty tensor is written as one without a value.
        return Constant(type_, ())
    values = getattr(immediate.tensor, kind).values
    return Constant(type_, bytes(values) if kind == "bytes" else tuple(values))
