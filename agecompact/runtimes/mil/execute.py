"""Runs a program op by op, and checks each result against its declared type.

All floats are computed in float32. With `round_to_declared`, the output of each op is then rounded
to its declared type: float16 where Core ML stores float16. Sums inside one op, as in a convolution,
stay in float32 and are rounded once, at the end. Core ML's compute units may add in float16, in an
order of their own, so a difference of several float16 steps is not a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.constants import constants_of, is_constant
from agecompact.runtimes.mil.parameters import Parameters, Value
from agecompact.runtimes.mil.program import Op, Program, Source, Variable
from agecompact.runtimes.mil.registry import Kernel, kernel_of
from agecompact.runtimes.mil.tensor_types import ConstantValue, DType, TensorType

# Opset `CoreML5` is that of iOS 15, up to `CoreML8` for iOS 18.
_OPSETS: Mapping[str, int] = {f"CoreML{number}": number + 10 for number in range(5, 9)}


@dataclass(frozen=True)
class PreparedProgram:
    """A program that is ready to run: constants decompressed, kernels found.

    Attributes:
        program: The program.
        opset: iOS version of its ops: 16 for iOS 16.
        constants: Constants by name; those that are written in place, by themselves.
        calls: The ops that compute, in order, with their kernels.
    """

    program: Program
    opset: int
    constants: Mapping[Source, Value]
    calls: tuple[tuple[Op, Kernel], ...]


def prepare(program: Program) -> PreparedProgram:
    """Decompresses every constant and finds every kernel.

    Raises:
        UsageError: A constant is broken, or an op has no kernel or reads a value that no earlier op
            writes.
    """
    if program.opset not in _OPSETS:
        raise UsageError(
            f"the reference runtime does not support opset '{program.opset}'",
            why=f"it supports {', '.join(_OPSETS)}",
            fix="convert with another minimum_deployment_target",
        )
    constants: dict[Source, Value] = {
        name: to_value(constant.value) for name, constant in constants_of(program).items()
    }
    known = {variable.name for variable in program.inputs} | constants.keys()
    calls = []
    for op in program.ops:
        if is_constant(op):
            continue
        for source in op.sources():
            if not isinstance(source, str):
                constants[source] = to_value(source)
            elif source not in known:
                raise UsageError(f"{op} reads '{source}', which no earlier op writes")
        calls.append((op, kernel_of(op)))
        known.update(output.name for output in op.outputs)
    if missing := [name for name in program.outputs if name not in known]:
        raise UsageError(f"the program outputs '{missing[0]}', which no op writes")
    return PreparedProgram(program, _OPSETS[program.opset], constants, tuple(calls))


def run(
    prepared: PreparedProgram,
    inputs: Mapping[str, Tensor],
    *,
    round_to_declared: bool,
) -> dict[Source, Value]:
    """Runs a program once.

    Args:
        prepared: The program.
        inputs: By name, of the declared shapes; float32, int64 or bool.
        round_to_declared: Whether to round the output of each op to its declared type.

    Returns:
        Inputs, constants and outputs of ops, by name.

    Raises:
        UsageError: An op cannot run, has a parameter that its kernel does not read, or has an
            output of another shape or kind than the file declares.
    """
    values: dict[Source, Value] = dict(prepared.constants)
    values.update(inputs)
    if round_to_declared:
        for variable in prepared.program.inputs:
            values[variable.name] = rounded(inputs[variable.name], variable.type.dtype)
    for op, kernel in prepared.calls:
        given = {name: tuple(values[s] for s in sources) for name, sources in op.parameters.items()}
        results = _call(kernel, Parameters(op, given, prepared.opset), op)
        for result, output in zip(results, op.outputs, strict=True):
            values[output.name] = _checked(op, result, output, round_to_declared)
    return values


def _call(kernel: Kernel, parameters: Parameters, op: Op) -> tuple[Tensor, ...]:
    try:
        result = kernel(parameters)
    except UsageError:
        raise
    # torch has no common exception class for shapes that do not fit.
    except (RuntimeError, ValueError, IndexError, TypeError, KeyError, ArithmeticError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{op} cannot run", why=reason) from None
    if unread := parameters.unread():
        raise UsageError(
            f"{op} has a parameter that the reference runtime does not support",
            why=f"'{min(unread)}' may change what the op does",
            fix=f"read it in the kernel of '{op.kind}'",
        )
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(op.outputs):
        raise UsageError(f"{op} has {len(results)} outputs, but declares {len(op.outputs)}")
    return results


def _checked(op: Op, result: Tensor, output: Variable, round_to_declared: bool) -> Tensor:
    """A result, rounded to its declared type if required.

    Raises:
        UsageError: It has another shape or kind than the file declares.
    """
    type_ = output.type
    kind = "bool" if result.dtype == torch.bool else "int"
    kind = "float" if result.is_floating_point() else kind
    if kind != type_.dtype.kind or not type_.admits(result.shape):
        raise UsageError(
            f"the output of {op} does not have its declared type",
            why=f"declared {type_}, got {kind} of {list(result.shape)}",
            fix="the file or the kernel is wrong: compare both with MIL's documentation",
        )
    return rounded(result, type_.dtype) if round_to_declared or kind != "float" else result.float()


def rounded(value: Tensor, dtype: DType) -> Tensor:
    """Rounds to a stored type and back; integers wrap around.

    Args:
        value: Any shape, of the same kind as the dtype.
        dtype: The stored type.

    Returns:
        float32, int64 or bool, of the same shape.
    """
    if dtype.kind == "float":
        return value.half().float() if dtype.bits == 16 else value.float()
    if dtype.kind == "bool":
        return value
    return torch.from_numpy(value.numpy().astype(dtype.numpy).astype(np.int64))


def to_value(constant: ConstantValue) -> Value:
    """A constant in the form that kernels take."""
    return constant.value if isinstance(constant.value, str) else to_tensor(constant.value)


def to_tensor(array: Array) -> Tensor:
    """A copy of an array in the form that kernels take: float32, int64 or bool."""
    dtype = np.dtype({"f": "f4", "b": "?"}.get(array.dtype.kind, "i8"))
    return torch.from_numpy(np.array(array, dtype))


def to_array(value: Value, type_: TensorType, *, as_declared: bool) -> Array:
    """The output of an op as an array.

    Args:
        value: The output.
        type_: Its declared type.
        as_declared: Whether floats get their declared type; otherwise they are float32.
    """
    assert isinstance(value, Tensor)
    keeps_float32 = type_.dtype.kind == "float" and not as_declared
    array: Array = value.detach().numpy()
    return array.astype(np.float32 if keeps_float32 else type_.dtype.numpy)
