"""Blob files are read back as written; a broken file raises `UsageError` and nothing else."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agecompact.errors import UsageError
from agecompact.runtimes.mil.blobs import BlobFile, unpack
from agecompact.runtimes.mil.tensor_types import BY_NAME, DType
from tests.agecompact.runtimes.mil.authoring import Author

STORED = [dtype for dtype in BY_NAME.values() if dtype.blob is not None]
FP32 = BY_NAME["fp32"]


def one_blob(content: bytes, dtype: DType, padding_bits: int = 0) -> tuple[bytes, int]:
    author = Author()
    offset = author.add_blob(content, dtype, padding_bits)
    return bytes(author.blobs), offset


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
def test_every_type_is_read_back(dtype: DType) -> None:
    bits = 37 * dtype.bits
    stored = np.random.default_rng(0).bytes(math.ceil(bits / 8))
    content, offset = one_blob(stored, dtype, -bits % 8)
    values = BlobFile("weight.bin", content).read(offset, dtype, 37)
    assert values.dtype == dtype.numpy
    assert values.shape == (37,)
    if dtype.kind == "int":
        number, end = int.from_bytes(stored, "little"), 1 << dtype.bits
        unsigned = [(number >> dtype.bits * i) % end for i in range(37)]
        assert (values.astype(np.int64) % end).tolist() == unsigned


@pytest.mark.parametrize(
    ("dtype", "content", "expected"),
    [
        ("int4", b"\x87\x0f\x01", [7, -8, -1, 0, 1]),
        # Three bits cross the boundaries of bytes. Octal, the first element is the last digit.
        ("uint3", 0o507654321.to_bytes(4, "little"), [1, 2, 3, 4, 5, 6, 7, 0, 5]),
    ],
)
def test_packed_elements_are_unpacked(dtype: str, content: bytes, expected: list[int]) -> None:
    assert unpack(content, BY_NAME[dtype], len(expected)).tolist() == expected


def test_it_reads_what_coremltools_writes(tmp_path_factory: pytest.TempPathFactory) -> None:
    storage = pytest.importorskip("coremltools.libmilstoragepython")
    path = tmp_path_factory.mktemp("blobs") / "weight.bin"
    writer = storage._BlobStorageWriter(str(path))
    floats = np.linspace(-3, 3, 11, dtype=np.float32)
    halves = floats.astype(np.float16)
    nibbles = np.array([1, -2, 3, -4, 5], np.int8)
    places = [
        writer.write_float_data(floats),
        writer.write_fp16_data(halves.view(np.uint16)),
        writer.write_int4_data(nibbles),
    ]
    del writer
    file = BlobFile("weight.bin", path.read_bytes())
    np.testing.assert_array_equal(file.read(places[0], FP32, 11), floats)
    np.testing.assert_array_equal(file.read(places[1], BY_NAME["fp16"], 11), halves)
    np.testing.assert_array_equal(file.read(places[2], BY_NAME["int4"], 5), nibbles)


def test_errors_say_what_is_broken() -> None:
    content, offset = one_blob(np.zeros(4, np.float32).tobytes(), FP32)

    def read(data: bytes, place: int = offset, dtype: DType = FP32, elements: int = 4) -> None:
        BlobFile("weight.bin", data).read(place, dtype, elements)

    read(content)
    for broken, why in (
        ((content[:32],), "too few for a header"),
        ((b"\x01" + b"\0" * 63,), "version"),
        ((content[:-1],), "not all in the file"),
        ((content, offset + 1), "not inside"),
        ((content, 1 << 40), "not inside"),
        ((content, 0), "not inside"),
        ((content, offset, BY_NAME["fp16"], 8), "has type 2"),
        ((content, offset, FP32, 5), "the program declares 5"),
        ((content[:64] + b"\0" * 4 + content[68:],), "starts with 0x0"),
    ):
        with pytest.raises(UsageError) as error:
            read(*broken)
        assert why in error.value.why


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 191), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 192),
    offset=st.integers(0, 1 << 64),
    elements=st.integers(0, 1 << 64),
    dtype=st.sampled_from(list(BY_NAME.values())),
)
def test_no_corruption_crashes_it(
    edits: list[tuple[int, int]], cut: int, offset: int, elements: int, dtype: DType
) -> None:
    whole, place = one_blob(np.arange(16, dtype=np.float32).tobytes(), FP32)
    content = bytearray(whole)
    for at, byte in edits:
        content[at] = byte
    for where in (place, offset):
        with suppress(UsageError):
            BlobFile("weight.bin", bytes(content[:cut])).read(where, dtype, elements)
