"""Decodes a program's constants: in place, in blobs, or made by expressions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from agecompact.errors import UsageError
from agecompact.runtimes.mil.blobs import unpack
from agecompact.runtimes.mil.decoded import Decoded
from agecompact.runtimes.mil.expressions import PREFIX, decompress
from agecompact.runtimes.mil.package import Package
from agecompact.runtimes.mil.program import BlobPlace, Constant, Op, Program

CONST = "const"


def is_constant(op: Op) -> bool:
    """Whether an op only makes a constant, which is known once the file is read."""
    return op.kind == CONST or op.kind.startswith(PREFIX)


def decode(constant: Constant, package: Package) -> Decoded:
    """A constant's value.

    Raises:
        UsageError: Its data are missing, or not as many as its type says.
    """
    type_, data = constant.type, constant.data
    if type_.dtype.kind == "string":
        if not isinstance(data, tuple) or len(data) != 1:
            raise UsageError(f"a constant of type {type_} is not one text")
        return Decoded(type_, str(data[0]))
    if isinstance(data, BlobPlace):
        file = package.blob_file(data.file)
        flat = file.read(data.offset, type_.dtype, type_.elements)
    elif isinstance(data, bytes):
        if len(data) != math.ceil(type_.elements * type_.dtype.bits / 8):
            raise UsageError(f"a constant of type {type_} has {len(data)} bytes")
        flat = unpack(data, type_.dtype, type_.elements)
    else:
        if len(data) != type_.elements:
            raise UsageError(f"a constant of type {type_} has {len(data)} elements")
        flat = np.array(data, type_.dtype.numpy)
    return Decoded(type_, flat.reshape(type_.static_shape))


def decode_all(program: Program, package: Package) -> dict[str, Decoded]:
    """Every constant of a program, by name, expressions decompressed.

    Raises:
        UsageError: A constant is broken, or its expression is not known.
    """
    known: dict[str, Decoded] = {}
    for op in program.ops:
        if op.kind == CONST:
            if set(op.attributes) != {"val"} or op.inputs:
                raise UsageError(f"{op} is not a constant's usual form", why=str(op.attributes))
            results: tuple[Decoded, ...] = (decode(op.attributes["val"], package),)
        elif is_constant(op):
            results = decompress(op, expression_parameters(op, known, package))
        else:
            continue
        for output, result in zip(op.outputs, results, strict=True):
            if (output.type.dtype, output.type.shape) != (
                result.type.dtype,
                result.type.static_shape,
            ):
                raise UsageError(
                    f"{op} does not give what it declares",
                    why=f"declared {output.type}, got {result.type}",
                )
            known[output.name] = result
    return known


def expression_parameters(
    op: Op, known: Mapping[str, Decoded], package: Package
) -> dict[str, Decoded]:
    """What a `constexpr_*` op is made of, by parameter; of iOS 16 they are its attributes.

    Args:
        op: The op.
        known: Constants decoded so far, by name.
        package: Where its blobs are.

    Raises:
        UsageError: A parameter is missing, doubled or no constant.
    """
    found = {name: decode(constant, package) for name, constant in op.attributes.items()}
    for name, bindings in op.inputs.items():
        if len(bindings) != 1 or name in found:
            raise UsageError(f"{op} has several values for its parameter '{name}'")
        (binding,) = bindings
        if isinstance(binding, Constant):
            found[name] = decode(binding, package)
        elif binding in known:
            found[name] = known[binding]
        else:
            raise UsageError(f"{op} reads '{binding}', which is no constant")
    return found
