"""Fits a contract to the interface of a model file, whoever made it.

A contract says what a network means by its inputs and outputs. What the file itself states, its
layout, dtype, quantisation and names, is taken from the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from agecompact.contract import Contract, Dtype, Layout, Output, Quantization, Reading
from agecompact.errors import UsageError
from agecompact.runtimes.base import Interface, Port
from parity_tests.results import Failure

# A scale written by hand has fewer digits than the file's.
_SAME_SCALE = 1e-4


@dataclass(frozen=True)
class Fitted:
    """A contract that a file can be run by.

    Attributes:
        contract: In the file's layout, dtype, quantisation and names.
        notes: What was decided without being asked, a sentence each.
    """

    contract: Contract
    notes: tuple[str, ...]


def fitted(contract: Contract, interface: Interface) -> Fitted:
    """Fits a contract to what a file declares.

    Args:
        contract: How images become the inputs, and answers are read from the outputs.
        interface: The file's inputs and outputs.

    Raises:
        Failure: Of the kind `names`, `dtypes` or `shapes`: the contract cannot be that of the file.
    """
    if not interface.inputs:
        raise Failure("names", "it has no inputs")
    named = _with_names(contract, interface.inputs)
    typed = _with_dtype(named, interface.inputs)
    outputs, matched = _outputs(contract.outputs, interface.outputs)
    made = replace(typed, layout=_layout(typed, interface.inputs), outputs=outputs)
    notes = (
        *_dtype_notes(contract, made, interface.inputs),
        *_shape_notes(made, interface),
        *matched,
        *_step_notes(made, interface.outputs),
    )
    return Fitted(made, notes)


def paired(reference: Contract, candidate: Contract) -> tuple[int, ...]:
    """For each output of a reference, the place of the candidate's that is compared with it.

    They are paired by their names in the contracts if the candidate has them all, else by place.

    Raises:
        Failure: Of the kind `names`: they have other names, and not the same number.
    """
    mine = candidate.output_names
    if set(reference.output_names) <= set(mine):
        return tuple(mine.index(name) for name in reference.output_names)
    if len(mine) == len(reference.outputs):
        return tuple(range(len(mine)))
    raise Failure(
        "names",
        f"its contract has the outputs {', '.join(mine)}; the reference's has "
        f"{', '.join(reference.output_names)}",
    )


def check_comparable(reference: Contract, candidate: Contract) -> None:
    """Checks that two contracts, whose outputs are paired by place, give the same kind of answers.

    Raises:
        Failure: Of the kind `names`, `shapes` or `metadata`.
    """
    crops = len(candidate.crops), len(reference.crops)
    if crops[0] != crops[1]:
        raise Failure("names", f"it has {crops[0]} inputs, the reference has {crops[1]}")
    for theirs, mine in zip(reference.outputs, candidate.outputs, strict=True):
        if theirs.compared_size != mine.compared_size:
            raise Failure(
                "shapes",
                f"output '{mine.name}' has {_counted(mine)}, '{theirs.name}' of the reference has "
                f"{_counted(theirs)}",
            )
        if theirs.compared_unit != mine.compared_unit:
            raise Failure(
                "metadata",
                f"output '{mine.name}' is in {mine.compared_unit}, '{theirs.name}' of the "
                f"reference in {theirs.compared_unit}",
            )


def _counted(output: Output) -> str:
    count = output.compared_size
    read_from = "" if count == output.size else f", read from {output.size}"
    return _values(count) + read_from


def _with_names(contract: Contract, ports: Mapping[str, Port]) -> Contract:
    """The contract with the file's name for its only input; several are bound by their names."""
    if len(ports) != 1 or len(contract.crops) != 1:
        return contract
    return replace(contract, crops=(replace(contract.crops[0], name=next(iter(ports))),))


def _with_dtype(contract: Contract, ports: Mapping[str, Port]) -> Contract:
    (first, port), *others = ports.items()
    for name, other in others:
        if other.kind != port.kind:
            raise Failure(
                "dtypes",
                f"input '{first}' is {port.kind} and '{name}' is {other.kind}: a contract holds "
                "one kind for all",
            )
    if port.dtype not in get_args(Dtype):
        known = ", ".join(get_args(Dtype))
        raise Failure("dtypes", f"input '{first}' has dtype {port.dtype}; images can be {known}")
    # A contract of uint8 without a quantisation asks for the levels of the image.
    levels = contract.takes_levels and port.dtype == "uint8"
    quantization = None if levels else port.quantization
    if port.dtype == "int8" and quantization is None:
        raise Failure(
            "dtypes", f"input '{first}' is int8, and the file does not say what its integers mean"
        )
    return replace(contract, dtype=cast("Dtype", port.dtype), quantization=quantization)


def _layout(contract: Contract, ports: Mapping[str, Port]) -> Layout:
    """The layout that the shape of the first input fits; the contract's own if both fit."""
    shape = next(iter(ports.values())).shape
    layouts: tuple[Layout, ...] = get_args(Layout)
    fitting = [each for each in layouts if _fits(shape, replace(contract, layout=each))]
    if not fitting:
        # Another size, of which the channels still tell the layout.
        last = len(shape) == 4 and shape[3] == contract.channels != shape[1]
        return "NHWC" if last else "NCHW"
    return contract.layout if contract.layout in fitting else fitting[0]


def _fits(shape: Sequence[int | None], contract: Contract) -> bool:
    wanted = contract.input_shape
    return len(shape) == len(wanted) and all(
        have in (None, want) for have, want in zip(shape[1:], wanted[1:], strict=True)
    )


def _outputs(
    outputs: Sequence[Output], ports: Mapping[str, Port]
) -> tuple[tuple[Output, ...], tuple[str, ...]]:
    """The outputs with the file's names: by name, else by size, where only one has it."""
    if len(outputs) == len(ports) == 1:
        return _only_output(outputs[0], *next(iter(ports.items())))
    missing = [output for output in outputs if output.name not in ports]
    names = {output.name for output in outputs}
    free = {name: port for name, port in ports.items() if name not in names}
    taken = {output.name: _taken_for(output, missing, free) for output in missing}
    notes = (
        f"output '{found}' taken for '{name}': the only one of {_values(ports[found].values)}"
        for name, found in taken.items()
    )
    return tuple(replace(o, name=taken.get(o.name, o.name)) for o in outputs), tuple(notes)


def _only_output(
    output: Output, found: str, port: Port
) -> tuple[tuple[Output, ...], tuple[str, ...]]:
    notes = []
    if found != output.name:
        notes.append(f"output '{found}' taken for '{output.name}': the only one")
    size = port.values
    # A contract that says nothing of its values has the default size.
    if size is not None and size != output.size == 1 and output.reading == Reading():
        notes.append(f"output '{found}' has {_values(size)}; the contract says 1")
        output = _resized(output, size)
    return (replace(output, name=found),), tuple(notes)


def _resized(output: Output, size: int) -> Output:
    try:
        return replace(output, size=size)
    except UsageError as error:
        raise Failure("shapes", error.summary) from None


def _taken_for(output: Output, missing: Sequence[Output], free: Mapping[str, Port]) -> str:
    """The file's output that a contract's output must be."""
    same = [name for name, port in free.items() if port.values == output.size]
    alike = [each for each in missing if each.size == output.size]
    if len(same) == len(alike) == 1:
        return same[0]
    listed = ", ".join(f"{name} {port.sides}" for name, port in free.items())
    raise Failure(
        "names",
        f"the file has no output '{output.name}', and not exactly one of "
        f"{_values(output.size)} that the contract does not name; it has {listed or 'no others'}",
    )


def _values(count: int | None) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _dtype_notes(given: Contract, made: Contract, ports: Mapping[str, Port]) -> Iterator[str]:
    name, port = next(iter(ports.items()))
    if made.takes_levels and not given.takes_levels:
        yield f"input '{name}' is uint8 without a quantisation: it gets levels, 0 to 255"
    elif given.dtype != made.dtype:
        yield f"input '{name}' is {port.kind}; the contract says {given.dtype}"
    if (
        given.quantization
        and made.quantization
        and not _same(given.quantization, made.quantization)
    ):
        yield (
            f"input '{name}' has {made.quantization}, which counts; the contract says "
            f"{given.quantization}"
        )


def _same(one: Quantization, other: Quantization) -> bool:
    near = math.isclose(one.scale, other.scale, rel_tol=_SAME_SCALE)
    return near and one.zero_point == other.zero_point


def _shape_notes(made: Contract, interface: Interface) -> Iterator[str]:
    batch = interface.fixed_batch
    if batch is not None and batch > 1:
        yield f"batch frozen at {batch}: it runs {batch} images at a time"
    port = next(iter(interface.inputs.values()))
    if None in port.shape[1:]:
        yield f"inputs of {port.sides} get {made.height} x {made.width} pixels, {made.layout}"


def _step_notes(made: Contract, ports: Mapping[str, Port]) -> Iterator[str]:
    for output in made.outputs:
        found = ports[output.name].quantization
        if found and output.reading.kind == "value":
            step = found.scale * abs(output.reading.scale)
            yield f"output '{output.name}' is quantised in steps of {step:.3g} {output.unit}"
