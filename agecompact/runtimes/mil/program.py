"""Reads the program of a package: functions, ops and constants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.base import Declaration, Port
from agecompact.runtimes.mil.blobs import BlobFile, unpack
from agecompact.runtimes.mil.tensor_types import BY_NUMBER, ConstantValue, TensorType

_MAIN = "main"
# The specification version that each set of ops came with.
_VERSIONS = {f"CoreML{number}": number + 1 for number in range(3, 10)}
# Attributes of functions and blocks that change nothing here: the shapes of flexible inputs are
# also in the types of the inputs.
_KNOWN_ATTRIBUTES = frozenset({"FlexibleShapeInformation"})


@dataclass(frozen=True)
class Variable:
    """An input of the program, or an output of an op."""

    name: str
    type: TensorType


# What an op reads: a variable by name, or a constant.
Source = str | ConstantValue


@dataclass(frozen=True)
class Op:
    """An operation.

    Attributes:
        kind: Its type in MIL, such as `conv`.
        name: Its name; the name of its first output if it has none.
        parameters: What it reads, by sorted parameter name. Includes MIL's attributes, which are
            constants, except the name of the op.
        outputs: The variables that it writes.
    """

    kind: str
    name: str
    parameters: Mapping[str, tuple[Source, ...]]
    outputs: tuple[Variable, ...]

    def __str__(self) -> str:
        return f"op '{self.name}' ({self.kind})"

    def sources(self) -> Iterator[Source]:
        """All that it reads, in the order of its parameters."""
        for sources in self.parameters.values():
            yield from sources


@dataclass(frozen=True)
class Program:
    """The main function of a package.

    Attributes:
        opset: Version of the ops, such as `CoreML6` for iOS 16.
        inputs: In order.
        ops: In order of execution.
        outputs: Names of the outputs.
    """

    opset: str
    inputs: tuple[Variable, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]

    def types(self) -> Mapping[str, TensorType]:
        """Types of all inputs and of all outputs of ops, by name."""
        variables = [*self.inputs, *(output for op in self.ops for output in op.outputs)]
        return {variable.name: variable.type for variable in variables}


def read_program(specification: Any, blobs: Mapping[str, BlobFile]) -> Program:
    """The program inside a `Model` message.

    Args:
        specification: The message.
        blobs: Blob files by the name that the program uses: `@model_path/...`.

    Raises:
        UsageError: The model is not an ML Program, has no main function, has a broken constant, or
            uses something that is not supported: nested blocks, or values that are not tensors.
    """
    main, block = _main(specification)
    unknown = {*main.attributes, *block.attributes} - _KNOWN_ATTRIBUTES
    if unknown or block.inputs:
        raise UsageError(
            "the reference runtime does not support this program",
            why=f"its main function has {', '.join(sorted(unknown)) or 'inputs of a block'}",
        )
    return Program(
        main.opset,
        tuple(_variable(value, f"input '{value.name}'") for value in main.inputs),
        tuple(_op(op, blobs) for op in block.operations),
        tuple(block.outputs),
    )


def read_main(specification: Any) -> Declaration:
    """Inputs and outputs of the main function, without reading its constants.

    Raises:
        UsageError: The model is not an ML Program, has no main function, or does not have tensors
            as inputs and outputs.
    """
    main, block = _main(specification)
    values = {value.name: value for value in main.inputs}
    values |= {value.name: value for op in block.operations for value in op.outputs}
    if unwritten := sorted(set(block.outputs) - values.keys()):
        raise UsageError(f"the program never computes its output '{unwritten[0]}'")
    return Declaration(
        "program",
        tuple(_named_port(value, "input") for value in main.inputs),
        tuple(_named_port(values[name], "output") for name in block.outputs),
    )


def _named_port(value: Any, side: str) -> tuple[str, Port]:
    type_ = _tensor_type(value.type, f"{side} '{value.name}'")
    return value.name, Port(type_.shape or (), type_.dtype.numpy.name)


def _main(specification: Any) -> tuple[Any, Any]:
    """The main function and its block."""
    kind = specification.WhichOneof("Type")
    if kind != "mlProgram":
        raise UsageError(
            "the package does not contain an ML Program",
            why=f"it contains '{kind}'",
            fix="convert with convert_to='mlprogram'",
        )
    functions = specification.mlProgram.functions
    if _MAIN not in functions:
        raise UsageError(f"the program has no function '{_MAIN}'")
    main = functions[_MAIN]
    if main.opset not in main.block_specializations:
        raise UsageError(f"the program has no block for its opset '{main.opset}'")
    block = main.block_specializations[main.opset]
    version = specification.specificationVersion
    if (needed := _VERSIONS.get(main.opset, 0)) > version:
        raise UsageError(
            f"the ops of the program need specification version {needed}",
            why=f"they are of {main.opset}, and the package has version {version}",
            fix="export the package again",
        )
    return main, block


def _op(op: Any, blobs: Mapping[str, BlobFile]) -> Op:
    name = op.outputs[0].name if op.outputs else ""
    constants = {
        parameter: _constant(value, f"op '{name}' ({op.type})", blobs)
        for parameter, value in op.attributes.items()
    }
    if "name" in constants:
        name = str(constants.pop("name").value)
    where = f"op '{name}' ({op.type})"
    if op.blocks:
        raise UsageError(
            f"{where} cannot run",
            why="it contains nested blocks, which the reference runtime does not support",
        )
    if twice := constants.keys() & op.inputs.keys():
        raise UsageError(f"{where} has several values for '{min(twice)}'")
    parameters: dict[str, tuple[Source, ...]] = {n: (c,) for n, c in constants.items()}
    for parameter, argument in op.inputs.items():
        parameters[parameter] = tuple(_source(each, where, blobs) for each in argument.arguments)
    outputs = tuple(_variable(value, where) for value in op.outputs)
    # Sorted, because a protobuf map has no order.
    return Op(op.type, name, dict(sorted(parameters.items())), outputs)


def _source(binding: Any, where: str, blobs: Mapping[str, BlobFile]) -> Source:
    kind = binding.WhichOneof("binding")
    if kind == "name":
        return str(binding.name)
    if kind == "value":
        return _constant(binding.value, where, blobs)
    raise UsageError(f"{where} has a parameter without a value")


def _variable(value: Any, where: str) -> Variable:
    return Variable(value.name, _tensor_type(value.type, where))


def _tensor_type(type_: Any, where: str) -> TensorType:
    kind = type_.WhichOneof("type")
    if kind != "tensorType":
        raise UsageError(
            f"{where} is not supported",
            why=f"its type is a {str(kind).removesuffix('Type')}, not a tensor",
        )
    tensor = type_.tensorType
    if tensor.dataType not in BY_NUMBER:
        raise UsageError(
            f"{where} has an unknown element type",
            why=f"number {tensor.dataType} of MIL's DataType",
            fix="convert it to float32 or float16",
        )
    dtype = BY_NUMBER[tensor.dataType]
    shape: list[int | None] = []
    for dimension in tensor.dimensions:
        if dimension.WhichOneof("dimension") == "constant":
            shape.append(int(dimension.constant.size))
        elif dimension.unknown.variadic:
            return TensorType(dtype, None)
        else:
            shape.append(None)
    if tensor.rank not in (-1, len(shape)):
        raise UsageError(
            f"{where} is broken", why=f"its rank is {tensor.rank}, but it has {len(shape)} sizes"
        )
    return TensorType(dtype, tuple(shape))


def _constant(value: Any, where: str, blobs: Mapping[str, BlobFile]) -> ConstantValue:
    type_ = _tensor_type(value.type, where)
    dtype, elements = type_.dtype, type_.elements
    if value.WhichOneof("value") == "blobFileValue":
        name = value.blobFileValue.fileName
        if name not in blobs:
            raise UsageError(
                "the package is not complete",
                why=f"its program reads {name}, which is missing",
                fix="export the package again, or copy the whole folder",
            )
        flat = blobs[name].read(value.blobFileValue.offset, dtype, elements)
        return ConstantValue(type_, flat.reshape(type_.static_shape))
    tensor = value.immediateValue.tensor
    kind = tensor.WhichOneof("value")
    # An empty tensor is written without a value.
    data: Any = getattr(tensor, kind).values if kind else ()
    if dtype.kind == "string" and kind == "strings" and len(data) == 1:
        return ConstantValue(type_, str(data[0]))
    size = math.ceil(elements * dtype.bits / 8) if kind == "bytes" else elements
    if dtype.kind == "string" or len(data) != size:
        raise UsageError(
            f"{where} has a broken constant of type {type_}",
            why=f"it has {len(data)} {'bytes' if kind == 'bytes' else 'elements'}",
            fix="export the package again, or copy it again",
        )
    flat = unpack(data, dtype, elements) if kind == "bytes" else np.array(data, dtype.numpy)
    return ConstantValue(type_, flat.reshape(type_.static_shape))
