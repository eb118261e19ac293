"""Faults in what a TFLite file tells an app.

An app may bind by the signature, by position in the graph, or by the names of tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agecompact.artifacts import metadata, tflite_metadata
from agecompact.artifacts.metadata import ArtifactMetadata
from tests.parity_tests.editing import Edit, in_tflite, metadata_buffers, unchanged


def signature_key(key: str) -> Callable[[Any], None]:
    return lambda model: setattr(model.signatureDefs[0], "signatureKey", key.encode())


def no_signature(model: Any) -> None:
    model.signatureDefs = []


def second_signature(change: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        second = copy.deepcopy(model.signatureDefs[0])
        second.signatureKey = b"predict"
        change(second, model)
        model.signatureDefs.append(second)

    return plant


def swap_bound_inputs(signature: Any, _: Any) -> None:
    one, other = signature.inputs[0], signature.inputs[2]
    one.tensorIndex, other.tensorIndex = other.tensorIndex, one.tensorIndex


def bind_inner_output(signature: Any, model: Any) -> None:
    signature.outputs[0].tensorIndex = int(model.subgraphs[0].operators[-1].inputs[0])


def rename_bound_output(signature: Any, _: Any) -> None:
    signature.outputs[0].name = b"years"


def bind_past_the_end(signature: Any, model: Any) -> None:
    signature.outputs[0].tensorIndex = len(model.subgraphs[0].tensors) + 9


def bind_missing_subgraph(signature: Any, _: Any) -> None:
    signature.subgraphIndex = 3


def drop_bound_input(signature: Any, _: Any) -> None:
    del signature.inputs[1]


def reorder_signature(model: Any) -> None:
    """Its entries are bound by name, whatever their order."""
    model.signatureDefs[0].inputs.reverse()


def second_subgraph(model: Any) -> None:
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


def extra_graph_output(model: Any) -> None:
    """The signature does not have it; whoever binds by position gets a second buffer."""
    graph = model.subgraphs[0]
    graph.outputs = np.append(graph.outputs, graph.operators[-1].inputs[0]).astype(np.int32)


def extra_output_first(model: Any) -> None:
    extra_graph_output(model)
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1].copy()


def extra_tflite_output(model: Any) -> None:
    extra_graph_output(model)
    signature = model.signatureDefs[0]
    added = copy.deepcopy(signature.outputs[0])
    added.name, added.tensorIndex = b"features", int(model.subgraphs[0].outputs[1])
    signature.outputs.append(added)


def output_listed_twice(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.outputs = np.repeat(graph.outputs, 2)


def tensor(model: Any, name: bytes) -> Any:
    return next(t for t in model.subgraphs[0].tensors if t.name == name)


def rename_tensor(old: bytes, new: bytes) -> Callable[[Any], None]:
    return lambda model: setattr(tensor(model, old), "name", new)


def swap_tensor_names(model: Any) -> None:
    """The signature still binds the right tensors."""
    one, other = tensor(model, b"outer"), tensor(model, b"inner")
    one.name, other.name = other.name, one.name


def reverse_graph_inputs(model: Any) -> None:
    model.subgraphs[0].inputs = model.subgraphs[0].inputs[::-1].copy()


def open_axis(name: bytes, axis: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        found = tensor(model, name)
        found.shapeSignature = np.array(found.shape, np.int32)
        found.shapeSignature[axis] = -1

    return change


def standard_metadata(
    change: Callable[[ArtifactMetadata], ArtifactMetadata],
) -> Callable[[Any], None]:
    """Android's task library normalises by the standard metadata, not by the contract."""

    def edit(model: Any) -> None:
        own, standard = metadata_buffers(model)
        described = change(ArtifactMetadata.from_json(bytes(own.data).decode()))
        standard.data = np.frombuffer(tflite_metadata.encoded(described), np.uint8)

    return edit


def in_unit_range(described: ArtifactMetadata) -> ArtifactMetadata:
    return replace(described, contract=replace(described.contract, value_range=(0.0, 1.0)))


def second_standard_metadata(model: Any) -> None:
    model.metadata.append(copy.deepcopy(model.metadata[-1]))
    model.metadata[-1].name = tflite_metadata.KEY.encode()


def second_tflite_contract(model: Any) -> None:
    contract = next(each for each in model.metadata if each.name == metadata.KEY.encode())
    model.metadata.append(copy.deepcopy(contract))


# By name: the fault, and the kind of failure that must be reported; none if it must pass.
FAULTS: dict[str, tuple[Edit, str]] = {
    "none": (unchanged, ""),
    "signature-key": (in_tflite(signature_key("predict")), "interface"),
    "no-signature": (in_tflite(no_signature), "interface"),
    "second-inputs-swapped": (in_tflite(second_signature(swap_bound_inputs)), "interface"),
    "second-output-inside": (in_tflite(second_signature(bind_inner_output)), "interface"),
    "second-output-name": (in_tflite(second_signature(rename_bound_output)), "interface"),
    "second-past-the-end": (in_tflite(second_signature(bind_past_the_end)), "interface"),
    "second-without-subgraph": (in_tflite(second_signature(bind_missing_subgraph)), "interface"),
    "second-without-input": (in_tflite(second_signature(drop_bound_input)), "interface"),
    "signature-order": (in_tflite(reorder_signature), ""),
    "second-name": (in_tflite(second_signature(lambda *_: None)), ""),
    "second-subgraph": (in_tflite(second_subgraph), "interface"),
    "extra-graph-output": (in_tflite(extra_graph_output), "names"),
    "extra-output-first": (in_tflite(extra_output_first), "names"),
    "extra-output": (in_tflite(extra_tflite_output), "names"),
    "output-twice": (in_tflite(output_listed_twice), "names"),
    "tensor-name": (in_tflite(rename_tensor(b"middle", b"serving_default_middle:0")), "names"),
    "output-tensor-name": (in_tflite(rename_tensor(b"age", b"Identity")), "names"),
    "tensor-names-swapped": (in_tflite(swap_tensor_names), "order"),
    "order": (in_tflite(reverse_graph_inputs), "order"),
    "any-batch": (in_tflite(open_axis(b"outer", 0)), "shapes"),
    "any-height": (in_tflite(open_axis(b"outer", 1)), "shapes"),
    "any-output": (in_tflite(open_axis(b"age", 0)), "shapes"),
    "standard-metadata-same": (in_tflite(standard_metadata(lambda described: described)), ""),
    "standard-metadata-range": (in_tflite(standard_metadata(in_unit_range)), "interface"),
    "standard-metadata-twice": (in_tflite(second_standard_metadata), "interface"),
    "second-contract": (in_tflite(second_tflite_contract), "interface"),
}
