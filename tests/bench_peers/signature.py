"""Signatures of TFLite files: onnx2tf's float files have none, and other tools bind by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agecompact.runtimes.litert import SIGNATURE
from export.flatbuffer import pack


def signed(content: bytes, output: str) -> bytes:
    """A TFLite file with a signature; the file itself if it has one.

    Args:
        content: The file. Its inputs are named as in the ONNX file.
        output: Name of its only output, which onnx2tf loses.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if model.signatureDefs:
        return content
    graph = model.subgraphs[0]
    made = schema.SignatureDefT()
    made.signatureKey = SIGNATURE.encode()
    made.subgraphIndex = 0
    made.inputs = _bound(schema.TensorMapT, graph.inputs, lambda i: graph.tensors[i].name)
    made.outputs = _bound(schema.TensorMapT, graph.outputs, lambda _: output.encode())
    model.signatureDefs = [made]
    return pack(model)


def _bound(kind: Any, indices: Any, name: Callable[[int], bytes]) -> list[Any]:
    entries = []
    for index in map(int, indices):
        entry = kind()
        entry.name, entry.tensorIndex = name(index), index
        entries.append(entry)
    return entries
