"""An ONNX file as the source of a build, for a network that is no Python.

A copy of the file gets the contract's names and metadata. It then takes the place of PyTorch's
weights: artefacts are converted from it, and compared with it in ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agecompact.artifacts.metadata import KEY, ArtifactMetadata
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.formats import EXPORTED
from agecompact.isolation import IsolationFailure, call
from agecompact.models.project import Project
from agecompact.scratch import scratch_folder
from agecompact.serialization import structure

if TYPE_CHECKING:
    import onnx

SUFFIX = EXPORTED["onnx"].suffix

_SECONDS = 120.0
_MEMORY_BYTES = 4 << 30
_FIX = "correct [input] and [[outputs]] of the project file"


@dataclass(frozen=True)
class OnnxCounts:
    """The counts of an ONNX file.

    Attributes:
        parameters: Numbers in its float constants.
        macs: Multiply-accumulates of its convolutions and matrix products for one image.
        opset: Its opset.
        batch: How many images each call takes; None for any number.
    """

    parameters: int
    macs: int
    opset: int
    batch: int | None


@contextmanager
def source_file(owner: Project) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yields the copy of a project's ONNX file, for the block, and what was renamed in it.

    Raises:
        UsageError: The file cannot be read, or its inputs and outputs are not the contract's.
    """
    assert owner.weights is not None
    spec = owner.spec
    described = ArtifactMetadata(
        model=spec.id,
        precision="float32",
        contract=spec.contract,
        weights_sha256=sha256_of(owner.weights),
        source=spec.source,
        terms=owner.terms,
        versions={},
    )
    with scratch_folder() as scratch:
        target = scratch / f"{spec.id}{SUFFIX}"
        notes = _isolated("stamp", owner.weights, owner.weights, target, described.to_json())
        yield target, tuple(notes)


def counts(path: Path) -> OnnxCounts:
    """Counts an ONNX file.

    Raises:
        UsageError: It cannot be read.
    """
    found = _isolated("count", path, path)
    return structure(found, OnnxCounts, where=f"the counts of {path}")


def _isolated(function: str, path: Path, *arguments: Any) -> Any:
    try:
        return call(
            f"agecompact.artifacts.onnx_source:{function}",
            *arguments,
            seconds=_SECONDS,
            memory_bytes=_MEMORY_BYTES,
        )
    except IsolationFailure as failure:
        raise UsageError(f"cannot use {path} as the source", why=failure.reason, fix=_FIX) from None
    except UsageError as error:
        raise UsageError(f"cannot use {path} as the source", why=error.summary, fix=_FIX) from None


def stamp(source: str, target: str, described: str) -> list[str]:
    """Writes a copy with the contract's names and metadata. Runs in a process of its own.

    Returns:
        What was renamed.

    Raises:
        UsageError: It has other inputs or outputs than the contract.
    """
    import onnx

    model = onnx.load_model(source)
    contract = ArtifactMetadata.from_json(described).contract
    held = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in held]
    outputs = list(model.graph.output)
    sizes = [contract.input_shape[1:]] * len(contract.crops)
    _check("input", inputs, contract.input_names, sizes)
    _check("output", outputs, contract.output_names, [(o.size,) for o in contract.outputs])
    names = dict(
        zip(
            [each.name for each in (*inputs, *outputs)],
            [*contract.input_names, *contract.output_names],
            strict=True,
        )
    )
    changed = {old: new for old, new in names.items() if old != new}
    _rename(model, changed)
    onnx.helper.set_model_props(model, {KEY: described})
    Path(target).write_bytes(model.SerializeToString(deterministic=True))
    return [f"'{old}' is '{new}' from here on" for old, new in changed.items()]


def _check(
    side: str, found: Sequence[Any], names: Sequence[str], sizes: Sequence[tuple[int, ...]]
) -> None:
    if len(found) != len(names):
        listed = ", ".join(each.name for each in found)
        raise UsageError(
            f"the file has {len(found)} {side}s, the contract {len(names)}", why=f"it has {listed}"
        )
    for each, size in zip(found, sizes, strict=True):
        dims = each.type.tensor_type.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
        rest = tuple(side for side in shape[1:] if side != 1)
        wanted = tuple(side for side in size if side != 1)
        fits = None in rest or math.prod(s or 1 for s in rest) == math.prod(wanted)
        if side == "input":
            fits = len(shape) == 4 and all(
                have in (None, want) for have, want in zip(shape[1:], size, strict=True)
            )
        if not fits:
            raise UsageError(f"{side} '{each.name}' has shape {shape}, the contract {(1, *size)}")


def _rename(model: onnx.ModelProto, changed: dict[str, str]) -> None:
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    if clash := sorted(set(changed.values()) & (taken - set(changed))):
        raise UsageError(f"the name '{clash[0]}' of the contract is taken inside the file")
    for each in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        each.name = changed.get(each.name, each.name)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = changed.get(name, name)
        for place, name in enumerate(node.output):
            node.output[place] = changed.get(name, name)


def count(path: str) -> dict[str, Any]:
    """Counts an ONNX file. Runs in a process of its own."""
    import onnx

    model = onnx.load_model(path)
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    sizes = {each.name: tuple(each.dims) for each in graph.initializer}
    shapes = {
        each.name: tuple(d.dim_value or 1 for d in each.type.tensor_type.shape.dim)
        for each in (*graph.value_info, *graph.output, *graph.input)
    }
    macs = 0
    for node in graph.node:
        weight = sizes.get(node.input[1], ()) if len(node.input) > 1 else ()
        made = math.prod(shapes.get(node.output[0], (0,)))
        if node.op_type == "Conv" and weight:
            macs += made * math.prod(weight[1:])
        elif node.op_type in ("Gemm", "MatMul") and weight:
            macs += math.prod(weight)
    first = graph.input[0].type.tensor_type.shape.dim[0]
    return {
        "parameters": sum(
            math.prod(each.dims) for each in graph.initializer if each.data_type in floats
        ),
        "macs": macs,
        "opset": next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx")),
        "batch": first.dim_value if first.HasField("dim_value") else None,
    }
