"""Drops from a TFLite file what no phone reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from agecompact.artifacts import metadata, tflite_metadata
from export.int8.graph import NO_BUFFER

# Entries of the metadata that were written here.
_KEPT = frozenset({metadata.KEY, tflite_metadata.KEY})


def slim(model: Any) -> None:
    """Drops unread tensors, buffers and op codes, in place.

    Equal constants share a buffer. Names, signatures and metadata stay.

    Args:
        model: A `schema.ModelT` with one subgraph.
    """
    drop_unread(model)
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        tensor.shapeSignature = None
        held = tensor.quantization
        if held is not None:
            held.min = held.max = None
            if held.scale is None or not len(held.scale):
                tensor.quantization = None


def drop_unread(model: Any) -> None:
    """Drops unread tensors, buffers and op codes, in place. Equal constants share a buffer.

    Args:
        model: A `schema.ModelT` with one subgraph.
    """
    (graph,) = model.subgraphs
    _drop_tensors(model, graph)
    _share_buffers(model, graph)
    _drop_codes(model, graph)


def strip(model: Any) -> None:
    """Drops the names of inner tensors and all metadata but what we added, in place.

    What the converter says of itself and of the oldest runtime is of the float file.

    Args:
        model: A `schema.ModelT` with one subgraph.
    """
    (graph,) = model.subgraphs
    ends = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in ends:
            tensor.name = None
    model.metadata = [each for each in model.metadata or () if each.name.decode() in _KEPT]


def _drop_tensors(model: Any, graph: Any) -> None:
    read = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for op in graph.operators:
        read |= {int(i) for i in (*op.inputs, *op.outputs) if i >= 0}
    kept = sorted(read)
    places = {old: new for new, old in enumerate(kept)} | {-1: -1}

    def moved(indices: Any) -> Any:
        return np.array([places[int(i)] for i in indices], np.int32)

    graph.tensors = [graph.tensors[i] for i in kept]
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for op in graph.operators:
        op.inputs, op.outputs = moved(op.inputs), moved(op.outputs)
    for signature in model.signatureDefs or ():
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = places[entry.tensorIndex]


def _share_buffers(model: Any, graph: Any) -> None:
    kept = [model.buffers[NO_BUFFER]]
    places: dict[bytes, int] = {}

    def place_of(index: int) -> int:
        data = model.buffers[index].data
        if data is None or not len(data):
            return NO_BUFFER
        key = bytes(bytearray(data))
        if key not in places:
            places[key] = len(kept)
            kept.append(model.buffers[index])
        return places[key]

    for tensor in graph.tensors:
        tensor.buffer = place_of(tensor.buffer)
    for entry in model.metadata or ():
        entry.buffer = place_of(entry.buffer)
    model.buffers = kept


def _drop_codes(model: Any, graph: Any) -> None:
    places: dict[int, int] = {}
    for op in graph.operators:
        op.opcodeIndex = places.setdefault(op.opcodeIndex, len(places))
    model.operatorCodes = [model.operatorCodes[i] for i in places]
