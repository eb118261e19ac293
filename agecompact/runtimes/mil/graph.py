"""What a package computes and with which constants, apart from how either is stored.

Two packages of one network differ in names, in casts between floats and in how their constants are
compressed. Here each op is told by its place, what it reads by the places of those that wrote it,
and each constant by the op and the parameter that read it, so that two packages can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.runtimes.mil.constants import (
    CONST,
    decode,
    decode_all,
    expression_parameters,
    is_constant,
)
from agecompact.runtimes.mil.decoded import Decoded, Parameters
from agecompact.runtimes.mil.package import Package, read_package
from agecompact.runtimes.mil.program import Constant, Op, Program, read_program

_CAST = "cast"
# Ops that change nothing where their second operand is this. coremltools drops them on some paths
# of its conversion and not on others.
_NEUTRAL: Mapping[str, float] = {"add": 0.0, "sub": 0.0, "mul": 1.0, "real_div": 1.0}


@dataclass(frozen=True)
class Source:
    """What an op reads that another wrote.

    Attributes:
        origin: Place of that op, or the name of an input of the program.
        output: Which of its outputs.
    """

    origin: int | str
    output: int = 0


@dataclass(frozen=True)
class Stored:
    """A constant as an op reads it.

    Attributes:
        name: Of the constant in the program; empty where it is written in place.
        value: Decompressed.
        expression: Type of the `constexpr_*` op that makes it; `const` for a plain constant.
        parts: What that op is made of, by parameter; empty for a plain constant.
        output: Which of its outputs it is.
    """

    name: str
    value: Decoded
    expression: str = CONST
    parts: Parameters | None = None
    output: int = 0


@dataclass(frozen=True)
class Node:
    """An op that computes.

    Attributes:
        kind: Its type in MIL.
        name: Its own name.
        reads: By parameter: what others wrote, or constants.
        shapes: Of what it writes; None in place of what only the run tells.
    """

    kind: str
    name: str
    reads: Mapping[str, tuple[Source | Stored, ...]]
    shapes: tuple[tuple[int | None, ...] | None, ...]


@dataclass(frozen=True)
class Graph:
    """A program without its constants' storage, its casts between floats, and what changes nothing.

    Attributes:
        inputs: Names of what it takes.
        nodes: The ops, in the program's order.
        outputs: Names of what it gives, and what that is.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, Source | Stored]


def read_graph(path: Path) -> Graph:
    """Reads the graph of a package.

    Raises:
        UsageError: The package is broken, or holds what the reference runtime does not read.
        BackendMissingError: coremltools is not installed.
    """
    package = read_package(path)
    program = read_program(package.specification)
    known: dict[str, Source | Stored] = {n.name: Source(n.name) for n in program.inputs}
    known.update(_constants(program, package))
    kinds = {n.name: n.type.dtype.kind for n in program.inputs}
    kinds.update({n.name: n.type.dtype.kind for op in program.ops for n in op.outputs})
    nodes: list[Node] = []
    for op in program.ops:
        if is_constant(op):
            continue
        reads = {
            parameter: tuple(
                Stored("", decode(b, package)) if isinstance(b, Constant) else known[b]
                for b in bindings
            )
            for parameter, bindings in op.inputs.items()
        }
        attributes = {
            name: (Stored("", decode(constant, package)),)
            for name, constant in op.attributes.items()
        }
        if _only_changes_floats(op, kinds) or _changes_nothing(op, reads):
            known[op.outputs[0].name] = reads["x"][0]
            continue
        for place, output in enumerate(op.outputs):
            known[output.name] = Source(len(nodes), place)
        shapes = tuple(output.type.shape for output in op.outputs)
        nodes.append(Node(op.kind, op.name, {**reads, **attributes}, shapes))
    return Graph(
        tuple(n.name for n in program.inputs),
        tuple(nodes),
        {name: known[name] for name in program.outputs},
    )


def _only_changes_floats(op: Op, kinds: Mapping[str, str]) -> bool:
    if op.kind != _CAST or op.outputs[0].type.dtype.kind != "float":
        return False
    (source,) = op.inputs["x"]
    return isinstance(source, str) and kinds[source] == "float"


def _changes_nothing(op: Op, reads: Mapping[str, tuple[Source | Stored, ...]]) -> bool:
    operands = reads.get("y", ())
    if op.kind not in _NEUTRAL or len(operands) != 1 or not isinstance(operands[0], Stored):
        return False
    value = operands[0].value
    return value.type.shape == () and value.array.item() == _NEUTRAL[op.kind]


def _constants(program: Program, package: Package) -> dict[str, Stored]:
    decoded = decode_all(program, package)
    found: dict[str, Stored] = {}
    for op in program.ops:
        if not is_constant(op):
            continue
        parts = None if op.kind == CONST else expression_parameters(op, decoded, package)
        for place, output in enumerate(op.outputs):
            found[output.name] = Stored(output.name, decoded[output.name], op.kind, parts, place)
    return found
