"""A float TFLite file in int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agecompact.errors import ConversionError
from export.flatbuffer import pack_once
from export.int8.equalise import equalise
from export.int8.graph import Graph
from export.int8.plan import plan_of
from export.int8.reconstruct import reconstruct
from export.int8.sensitivity import costs, fragile
from export.int8.slim import slim, strip
from export.int8.writer import written

if TYPE_CHECKING:
    import numpy.typing as npt


# Faces that show how wide a channel is, and what an op costs.
_FEW = 24


def to_int8(
    content: bytes,
    faces: Mapping[str, npt.NDArray[Any]],
    said: Callable[[str], None] = lambda _: None,
) -> tuple[bytes, str]:
    """Quantises a float32 file to int8, with float32 inputs and outputs.

    Args:
        content: The file.
        faces: Calibration faces by name of the input tensor, float32, `(faces, C, H, W)`.
        said: Takes the progress.

    Returns:
        The int8 file, and how much of it is int8, for people.

    Raises:
        ConversionError: No layer can be int8.
    """
    import torch

    graph = Graph.parse(content)
    by_name = {graph.name(tensor): tensor for tensor in graph.inputs}
    batch = {by_name[name]: torch.from_numpy(values) for name, values in faces.items()}
    few = {tensor: values[:_FEW] for tensor, values in batch.items()}
    equalise(graph, few)
    plan = plan_of(graph)
    plan = plan.without(graph, fragile(graph, costs(graph, few, plan, said)))
    made = reconstruct(graph, batch, plan, said)
    if not made.plan.body:
        raise ConversionError("no layer of this network can be int8", why=made.note)
    model = Graph.parse(written(graph, made)).model
    strip(model)
    slim(model)
    return pack_once(model), made.note
