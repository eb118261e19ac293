"""A float TFLite file in int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agecompact.errors import ConversionError
from export.flatbuffer import pack_once
from export.int8.graph import Graph
from export.int8.reconstruct import reconstruct
from export.int8.slim import slim, unname
from export.int8.writer import written

if TYPE_CHECKING:
    import numpy.typing as npt


def to_int8(content: bytes, faces: Mapping[str, npt.NDArray[Any]]) -> tuple[bytes, str]:
    """Quantises a float32 file to int8, with float32 inputs and outputs.

    Args:
        content: The file.
        faces: Calibration faces by name of the input tensor, float32, `(faces, C, H, W)`.

    Returns:
        The int8 file, and how much of it is int8, for people.

    Raises:
        ConversionError: No layer can be int8.
    """
    import torch

    graph = Graph.parse(content)
    by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
    batch = {by_name[name]: torch.from_numpy(values) for name, values in faces.items()}
    made = reconstruct(graph, batch)
    if not made.ops:
        raise ConversionError("no layer of this network can be int8", why=made.note)
    model = Graph.parse(written(graph, made)).model
    slim(model)
    unname(model)
    return pack_once(model), made.note
