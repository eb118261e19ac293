"""Float16 storage for ncnn: as in the other formats, the first layers stay float32.

A weights file is a sequence without an index. A layer's weights are a tag, which says how they are
stored, and the values; its bias is float32 without a tag. ncnn computes with float32 of both.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agecompact.errors import ConversionError
from agecompact.runtimes.ncnn_graph import Layer
from export.full_share import Op, late

_FLOAT32 = struct.pack("<I", 0)
_FLOAT16 = struct.pack("<I", 0x01306B47)
_ALIGNMENT = 4
_VALUE_BYTES = 4
# By kind of layer, the numbers of its settings: weights, whether it has a bias, outputs.
_WEIGHTED = {
    "Convolution": ("6", "5", "0"),
    "ConvolutionDepthWise": ("6", "5", "0"),
    "InnerProduct": ("2", "1", "0"),
}
# Sides of a constant, which has no tag.
_CONSTANT = "MemoryData"
_SIDES = ("0", "1", "2")


@dataclass(frozen=True)
class _Part:
    """What one layer has in a weights file.

    Attributes:
        layer: The layer.
        weights: Number of its weights; 0 for a constant.
        values: Number of float32 values behind them.
    """

    layer: Layer
    weights: int
    values: int


def store_half(layers: Sequence[Layer], content: bytes) -> bytes:
    """The weights of a float32 model in float16, but for those of its first layers.

    Args:
        layers: The graph.
        content: Its weights, float32.

    Raises:
        ConversionError: The graph has a layer whose place in the file is not known here.
    """
    parts = list(_parts(layers))
    weights = {part.layer.name: part.weights for part in parts if part.weights}
    halved = set(late(_ops(layers, weights), weights.__getitem__))
    made, place = bytearray(), 0
    for part in parts:
        if part.weights:
            if content[place : place + 4] != _FLOAT32:
                raise _unknown(f"the weights of '{part.layer.name}' are not float32")
            place += 4
            end = place + part.weights * _VALUE_BYTES
            made += _stored(content[place:end], half=part.layer.name in halved)
            place = end
        end = place + part.values * _VALUE_BYTES
        made += content[place:end]
        place = end
    if place != len(content):
        raise _unknown(f"its layers have {place} bytes of weights, and the file {len(content)}")
    return bytes(made)


def _stored(values: bytes, *, half: bool) -> bytes:
    if not half:
        return _FLOAT32 + values
    stored = np.frombuffer(values, "<f4").astype("<f2").tobytes()
    return _FLOAT16 + stored + bytes(-len(stored) % _ALIGNMENT)


def _parts(layers: Sequence[Layer]) -> Iterator[_Part]:
    for layer in layers:
        if layer.kind == _CONSTANT:
            sides = (int(layer.settings.get(side, "0")) for side in _SIDES)
            yield _Part(layer, 0, math.prod(side for side in sides if side))
        elif layer.kind in _WEIGHTED:
            weights, bias, outputs = (
                int(layer.settings.get(n, "0")) for n in _WEIGHTED[layer.kind]
            )
            yield _Part(layer, weights, outputs if bias else 0)


def _ops(layers: Sequence[Layer], weights: Collection[str]) -> Iterator[Op[str]]:
    """The layers in the order of execution, with their own names for their weights."""
    for layer in layers:
        held = [layer.name] if layer.name in weights else []
        yield Op(layer.inputs, layer.outputs, held, bool(held))


def _unknown(why: str) -> ConversionError:
    return ConversionError(
        "this ncnn model cannot be stored in float16",
        why=why,
        fix="leave float16 out: --format ncnn --precision fp32",
    )
