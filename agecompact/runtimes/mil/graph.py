"""The graph of a package and its constants, independent of how both are stored.

Two packages of the same network differ in names, in casts between floats and in the compression of
their constants. Here an op refers to its inputs by the positions of the ops that wrote them, and
each constant belongs to the op and the parameter that read it, so two packages can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agecompact.runtimes.mil.constants import ConstantRef, constants_of, is_constant
from agecompact.runtimes.mil.package import read_package
from agecompact.runtimes.mil.program import Op
from agecompact.runtimes.mil.tensor_types import TensorType

_CAST = "cast"
# Ops that change nothing if their second operand has this value. coremltools drops them on some
# paths of its conversion and keeps them on others.
_NEUTRAL: Mapping[str, float] = {"add": 0.0, "sub": 0.0, "mul": 1.0, "real_div": 1.0}


@dataclass(frozen=True)
class ActivationRef:
    """An activation that an op reads.

    Attributes:
        origin: Position of the op that writes it, or name of an input of the program.
        output: Which of the outputs of that op.
    """

    origin: int | str
    output: int = 0


@dataclass(frozen=True)
class Node:
    """An op that computes.

    Attributes:
        kind: Its type in MIL.
        name: Its name.
        reads: Activations and constants, by parameter.
        shapes: Of its outputs; None for a size that is only known at run time.
    """

    kind: str
    name: str
    reads: Mapping[str, tuple[ActivationRef | ConstantRef, ...]]
    shapes: tuple[tuple[int | None, ...] | None, ...]


@dataclass(frozen=True)
class Graph:
    """A program without casts between floats and without ops that change nothing.

    Attributes:
        inputs: Names of the inputs.
        nodes: The ops, in the order of the program.
        outputs: The outputs by name.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, ActivationRef | ConstantRef]


def read_graph(path: Path) -> Graph:
    """Reads the graph of a package.

    Raises:
        UsageError: The package is broken, or not supported by the reference runtime.
        BackendMissingError: coremltools is not installed.
    """
    program = read_package(path).program
    types = program.types()
    known: dict[str, ActivationRef | ConstantRef] = {
        variable.name: ActivationRef(variable.name) for variable in program.inputs
    }
    known.update(constants_of(program))
    nodes: list[Node] = []
    for op in program.ops:
        if is_constant(op):
            continue
        reads = {
            parameter: tuple(
                known[source] if isinstance(source, str) else ConstantRef(source)
                for source in sources
            )
            for parameter, sources in op.parameters.items()
        }
        if _only_changes_floats(op, types) or _changes_nothing(op, reads):
            known[op.outputs[0].name] = reads["x"][0]
            continue
        for i, output in enumerate(op.outputs):
            known[output.name] = ActivationRef(len(nodes), i)
        nodes.append(Node(op.kind, op.name, reads, tuple(o.type.shape for o in op.outputs)))
    return Graph(
        tuple(variable.name for variable in program.inputs),
        tuple(nodes),
        {name: known[name] for name in program.outputs},
    )


def _only_changes_floats(op: Op, types: Mapping[str, TensorType]) -> bool:
    if op.kind != _CAST or op.outputs[0].type.dtype.kind != "float":
        return False
    (source,) = op.parameters["x"]
    return isinstance(source, str) and types[source].dtype.kind == "float"


def _changes_nothing(op: Op, reads: Mapping[str, tuple[ActivationRef | ConstantRef, ...]]) -> bool:
    operands = reads.get("y", ())
    if op.kind not in _NEUTRAL or len(operands) != 1 or not isinstance(operands[0], ConstantRef):
        return False
    value = operands[0].value
    return value.type.shape == () and value.array.item() == _NEUTRAL[op.kind]
