"""Runs a program, op after op, and holds each result to what the file declares.

Every float is computed in float32. With `round_to_declared`, what an op writes is then rounded to
the type that the file declares of it: float16 where Core ML stores float16. A sum inside one op, as
of a convolution, is therefore kept in float32 and rounded once, at its end; Core ML's units may add
up in float16, in an order of their own, so a difference of several float16 steps is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agecompact.errors import UsageError
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil.constants import decode, decode_all, is_constant
from agecompact.runtimes.mil.decoded import Decoded
from agecompact.runtimes.mil.dtypes import DType
from agecompact.runtimes.mil.package import Package
from agecompact.runtimes.mil.parameters import Parameters, Value, Values
from agecompact.runtimes.mil.program import Constant, Named, Op, Program, TensorType
from agecompact.runtimes.mil.registry import Kernel, kernel_of

# Opset `CoreML5` is that of iOS 15, up to `CoreML8` of iOS 18.
_OPSETS: Mapping[str, int] = {f"CoreML{number}": number + 10 for number in range(5, 9)}

_STORED: Mapping[str, torch.dtype] = {
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "uint8": torch.uint8,
}

Watch = Callable[[Op, tuple[Tensor, ...]], None]


@dataclass(frozen=True)
class _Call:
    op: Op
    kernel: Kernel
    fixed: Mapping[str, Values]


@dataclass(frozen=True)
class Plan:
    """A program made ready: constants decoded, kernels found.

    Attributes:
        program: The program.
        opset: Its version: 16 for iOS 16.
        constants: By name.
        calls: The ops that are no constants, in order.
    """

    program: Program
    opset: int
    constants: Mapping[str, Value]
    calls: tuple[_Call, ...]

    @property
    def output_types(self) -> dict[str, TensorType]:
        """Types of what the program gives, by name."""
        types = {value.name: value.type for value in self.program.inputs}
        for op in self.program.ops:
            types.update({value.name: value.type for value in op.outputs})
        return {name: types[name] for name in self.program.outputs}


def prepare(program: Program, package: Package) -> Plan:
    """Decodes every constant and finds every kernel, so that a run needs no more of the file.

    Raises:
        UsageError: A constant is broken, an op has no kernel, or reads a value that no earlier op
            writes.
    """
    if program.opset not in _OPSETS:
        raise UsageError(
            f"the program is of opset '{program.opset}'",
            why=f"the reference runtime knows {', '.join(_OPSETS)}",
        )
    decoded = decode_all(program, package)
    known = {value.name for value in program.inputs} | decoded.keys()
    calls = []
    for op in program.ops:
        if is_constant(op):
            continue
        fixed = {name: (to_value(decode(c, package)),) for name, c in op.attributes.items()}
        bound: dict[str, Values] = {}
        for name, bindings in op.inputs.items():
            for binding in bindings:
                if isinstance(binding, str) and binding not in known:
                    raise UsageError(f"{op} reads '{binding}', which nothing writes before it")
            if all(isinstance(binding, Constant) for binding in bindings):
                bound[name] = tuple(
                    to_value(decode(b, package)) for b in bindings if isinstance(b, Constant)
                )
            elif any(isinstance(binding, Constant) for binding in bindings):
                raise UsageError(f"{op} mixes names and constants in '{name}'")
        calls.append(_Call(op, kernel_of(op), {**fixed, **bound}))
        known.update(output.name for output in op.outputs)
    if missing := [name for name in program.outputs if name not in known]:
        raise UsageError(f"the program gives '{missing[0]}', which nothing writes")
    constants = {name: to_value(constant) for name, constant in decoded.items()}
    return Plan(program, _OPSETS[program.opset], constants, tuple(calls))


def run(
    plan: Plan, inputs: Mapping[str, Tensor], *, round_to_declared: bool, watch: Watch | None = None
) -> dict[str, Tensor]:
    """Runs a program once.

    Args:
        plan: The program.
        inputs: By name, of the declared shapes; float32, int64 or bool.
        round_to_declared: Whether results are rounded to the types that the file declares.
        watch: Is told every op with what it wrote.

    Returns:
        What the program gives, by name, in the same three types.

    Raises:
        UsageError: An op cannot run, does not read a parameter of its, or gives another shape or
            kind of value than the file declares.
    """
    values: dict[str, Value] = {**plan.constants, **inputs}
    if round_to_declared:
        for named in plan.program.inputs:
            value = values[named.name]
            assert isinstance(value, Tensor)
            values[named.name] = rounded(value, named.type.dtype)
    for call in plan.calls:
        results = _call(call, values, plan.opset)
        results = tuple(
            _held(call.op, result, output, round_to_declared)
            for result, output in zip(results, call.op.outputs, strict=True)
        )
        for result, output in zip(results, call.op.outputs, strict=True):
            values[output.name] = result
        if watch:
            watch(call.op, results)
    outputs = {name: values[name] for name in plan.program.outputs}
    return {name: value for name, value in outputs.items() if isinstance(value, Tensor)}


def _call(call: _Call, values: Mapping[str, Value], opset: int) -> tuple[Tensor, ...]:
    op = call.op
    given = dict(call.fixed)
    for name, bindings in op.inputs.items():
        if name not in given:
            given[name] = tuple(values[b] for b in bindings if isinstance(b, str))
    parameters = Parameters(op, given, opset)
    try:
        result = call.kernel(parameters)
    except UsageError:
        raise
    # What torch raises for shapes that do not fit has no one class.
    except (RuntimeError, ValueError, IndexError, TypeError, KeyError, ArithmeticError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{op} cannot run", why=reason) from None
    if unread := parameters.unread():
        raise UsageError(
            f"{op} has a parameter that the reference runtime does not know",
            why=f"'{min(unread)}' would change what the op does",
            fix=f"teach the kernel of '{op.kind}' to read it",
        )
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(op.outputs):
        raise UsageError(f"{op} gives {len(results)} values, but declares {len(op.outputs)}")
    return results


def _held(op: Op, result: Tensor, output: Named, round_to_declared: bool) -> Tensor:
    """A result as the file declares it.

    Raises:
        UsageError: It has another shape or kind.
    """
    type_ = output.type
    kind = "bool" if result.dtype == torch.bool else "int"
    kind = "float" if result.is_floating_point() else kind
    if kind != type_.dtype.kind or not type_.admits(result.shape):
        raise UsageError(
            f"{op} gives something else than the file declares",
            why=f"declared {type_}, got {kind} of {list(result.shape)}",
            fix="the file is broken, or the kernel is wrong: compare both with MIL's documentation",
        )
    return rounded(result, type_.dtype) if round_to_declared or kind != "float" else result.float()


def rounded(value: Tensor, dtype: DType) -> Tensor:
    """Rounds float32 to a stored type and back; integers wrap as they are stored.

    Args:
        value: Any shape, of the declared kind.
        dtype: The type it is stored as.

    Returns:
        float32, int64 or bool, of the same shape.
    """
    if dtype.kind == "float":
        return value.half().float() if dtype.bits == 16 else value.float()
    if dtype.kind == "bool":
        return value
    if dtype.name in _STORED:
        return value.to(_STORED[dtype.name]).long()
    # torch has no arithmetic of the wider unsigned types.
    return value & ((1 << dtype.bits) - 1) if dtype.bits < 64 else value.long()


def to_value(constant: Decoded) -> Value:
    """A constant as kernels take it."""
    if isinstance(constant.value, str):
        return constant.value
    return to_tensor(constant.value)


def to_tensor(array: Array) -> Tensor:
    """An array as kernels take it: float32, int64 or bool, a copy."""
    dtype = np.dtype({"f": "f4", "b": "?"}.get(array.dtype.kind, "i8"))
    return torch.from_numpy(np.array(array, dtype))


def to_array(value: Tensor, type_: TensorType, *, as_stored: bool) -> Array:
    """A value of a run as an array.

    Args:
        value: What an op wrote.
        type_: What the file declares of it.
        as_stored: Whether in the declared type; floats are float32 otherwise.
    """
    kept = type_.dtype.kind == "float" and not as_stored
    array: Array = value.detach().numpy()
    return array.astype(np.float32 if kept else type_.dtype.numpy)
