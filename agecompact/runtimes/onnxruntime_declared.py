"""What an app can bind to in an ONNX file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from onnx import ModelProto, external_data_helper, helper, numpy_helper

from agecompact.artifacts import metadata
from agecompact.contract import Quantization
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


def described(model: ModelProto) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and outputs of the graph, as JSON values by name; open sides have their names."""
    found = quantizations(model)
    constants = {each.name for each in model.graph.initializer}

    def ports(values: Iterable[Any]) -> dict[str, Any]:
        made = {}
        for value in values:
            port = replace(_port(value), quantization=found.get(value.name))
            names = [d.dim_param for d in value.type.tensor_type.shape.dim]
            shape = [n or side for n, side in zip(names, port.shape, strict=False)]
            made[value.name] = port.described(shape=shape)
        return made

    # Before IR version 4, constants are inputs as well.
    inputs = (value for value in model.graph.input if value.name not in constants)
    return ports(inputs), ports(model.graph.output)


def quantizations(model: ModelProto) -> dict[str, Quantization]:
    """What the integers of inputs and outputs stand for, by name.

    ONNX has no such field. The graph tells it: the scale by which it first dequantises an input, or
    last quantises an output.
    """
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    stored |= {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value"
    }
    outputs = {value.name for value in graph.output}
    found: dict[str, list[Quantization | None]] = {value.name: [] for value in graph.input}
    for node in graph.node:
        for name in node.input:
            if name in found:
                reads = node.op_type == "DequantizeLinear" and node.input[0] == name
                found[name].append(_quantization(node, stored) if reads else None)
        if node.op_type == "QuantizeLinear" and node.output[0] in outputs:
            found[node.output[0]] = [_quantization(node, stored)]
    return {
        name: each[0] for name, each in found.items() if len({*each}) == 1 and each[0] is not None
    }


def _quantization(node: Any, stored: Mapping[str, Any]) -> Quantization | None:
    """The scale and zero point of a node; None unless they are constants, one for all values."""
    constants = [stored.get(name) for name in node.input[1:] if name]
    if not constants or any(each is None or _is_outside(each) for each in constants):
        return None
    scale, *zeros = (numpy_helper.to_array(each) for each in constants)
    if scale.size != 1 or not 0 < scale.item() < math.inf:
        return None
    return Quantization(float(scale.item()), int(zeros[0].flat[0]) if zeros else 0)


def _is_outside(tensor: Any) -> bool:
    """Whether a tensor is in another file."""
    return bool(external_data_helper.uses_external_data(tensor))


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
    outside = [tensor.name for tensor in (*graph.initializer, *attributes) if _is_outside(tensor)]
    if outside:
        yield f"{len(outside)} of its tensors are in another file, which an app would lack"
    if sum(entry.key == metadata.KEY for entry in model.metadata_props) > 1:
        yield "it has several contracts; readers take the first or the last"
