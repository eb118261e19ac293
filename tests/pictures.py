"""TFLite files that take pictures, made of those that take tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agecompact.artifacts import tflite_metadata
from agecompact.artifacts.metadata import ArtifactMetadata
from export.flatbuffer import pack_once
from export.image_input import take_images
from export.int8.graph import Graph
from tests.parity_tests.editing import metadata_buffers


def as_pictures(path: Path) -> None:
    """Changes a file of tensors, in place, to what `export --input image` makes."""
    content = path.read_bytes()
    own, _ = metadata_buffers(Graph.parse(content).model)
    described = ArtifactMetadata.from_json(bytes(own.data).decode())
    graph = Graph.parse(take_images(content, described.contract))
    turned = replace(described, contract=described.contract.of_images())
    own, standard = metadata_buffers(graph.model)
    own.data = np.frombuffer(turned.to_json().encode(), np.uint8)
    standard.data = np.frombuffer(tflite_metadata.encoded(turned), np.uint8)
    path.write_bytes(pack_once(graph.model))


def answers(content: bytes, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """The first output for each of some inputs, `(N, H, W, C)` by name, in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    count = len(next(iter(inputs.values())))
    calls = (
        {n: np.ascontiguousarray(v[i : i + 1]) for n, v in inputs.items()} for i in range(count)
    )
    return np.array(
        [np.ravel(next(iter(runner(**call).values())))[0] for call in calls], np.float64
    )
