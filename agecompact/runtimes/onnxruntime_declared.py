"""What an app can bind to in an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import ModelProto, external_data_helper, helper

from agecompact.artifacts import metadata
from agecompact.runtimes.base import Declaration, Declared, Port

_DTYPES = {
    number: helper.tensor_dtype_to_np_dtype(number).name
    for number in helper.get_all_tensor_dtypes()
}


def declared(model: ModelProto) -> Declared:
    """The inputs and outputs of the graph, its opset, and what else an app may see."""
    inputs = tuple((value.name, _port(value)) for value in model.graph.input)
    outputs = tuple((value.name, _port(value)) for value in model.graph.output)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    return Declared(
        (Declaration("graph", inputs, outputs),), tuple(_oddities(model)), opsets.get("ai.onnx")
    )


def _port(value: Any) -> Port:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Port((), str(kind).removesuffix("_type"))
    tensor = value.type.tensor_type
    # A side of any size has a name, or nothing, instead of a number.
    sides = (d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return Port(tuple(sides), _DTYPES.get(tensor.elem_type, f"type {tensor.elem_type}"))


def _oddities(model: ModelProto) -> Iterator[str]:
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    for value in graph.input:
        if value.name in constants:
            yield f"input '{value.name}' has a default value, so an app may forget it"
    attributes = (attribute.t for node in graph.node for attribute in node.attribute)
    outside = [
        tensor.name
        for tensor in (*graph.initializer, *attributes)
        if external_data_helper.uses_external_data(tensor)
    ]
    if outside:
        yield f"{len(outside)} of its tensors are in another file, which an app would lack"
    if sum(entry.key == metadata.KEY for entry in model.metadata_props) > 1:
        yield "it has several contracts; readers take the first or the last"
