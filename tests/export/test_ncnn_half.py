"""Weights of ncnn models in float16: all but those of the first layers, and none of the biases."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from agecompact.errors import ConversionError
from agecompact.runtimes.ncnn_graph import Layer
from export.ncnn_half import store_half
from export.to_ncnn import _in_float32

_TAG = struct.pack("<I", 0)
_HALF = struct.pack("<I", 0x01306B47)


def conv(name: str, read: str, made: str, weights: int, outputs: int) -> Layer:
    settings = {"0": str(outputs), "5": "1", "6": str(weights)}
    return Layer("Convolution", name, (read,), (made,), settings)


def values(count: int, seed: int) -> bytes:
    return np.random.default_rng(seed).normal(size=count).astype("<f4").tobytes()


LAYERS = (
    Layer("Input", "face", (), ("face",), {}),
    conv("first", "face", "1", 27, 3),
    Layer("MemoryData", "levels", (), ("2",), {"0": "5"}),
    Layer("BinaryOp", "added", ("1", "2"), ("3",), {"0": "0"}),
    conv("second", "3", "4", 2001, 7),
    Layer("InnerProduct", "age", ("4",), ("age",), {"0": "1", "1": "0", "2": "7"}),
)
PARTS = (
    *(_TAG, values(27, 1), values(3, 2)),
    values(5, 3),
    *(_TAG, values(2001, 4), values(7, 5)),
    *(_TAG, values(7, 6)),
)


def half(stored: bytes) -> bytes:
    made = np.frombuffer(stored, "<f4").astype("<f2").tobytes()
    return _HALF + made + bytes(-len(made) % 4)


def test_the_first_layer_biases_and_constants_stay() -> None:
    made = store_half(LAYERS, b"".join(PARTS))
    wanted = [*PARTS[:4], half(PARTS[5]), PARTS[6], half(PARTS[8])]
    assert made == b"".join(wanted)
    assert len(made) < 0.6 * len(b"".join(PARTS))


@pytest.mark.parametrize(
    "content",
    [b"".join(PARTS) + bytes(4), b"".join(PARTS)[:-4], b"".join((_HALF, *PARTS[1:]))],
    ids=["more", "less", "half"],
)
def test_a_file_with_other_parts_is_refused(content: bytes) -> None:
    with pytest.raises(ConversionError, match=r"cannot be stored in float16[\s\S]*fix:"):
        store_half(LAYERS, content)


def test_every_layer_computes_in_float32() -> None:
    """A copy of a tensor would hand half precision to layers that take it for float32."""
    layers = (*LAYERS, Layer("Split", "copies", ("3",), ("3_a", "3_b"), {}))
    marked = _in_float32(layers)
    assert [each.settings.pop("31") for each in marked] == ["3"] * len(layers)
    assert tuple(marked) == layers
