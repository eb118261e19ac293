"""What a graph makes of a picture stands for the picture, and nothing behind it."""

from __future__ import annotations

import numpy as np
import pytest

from agecompact.runtimes.base import Array, Step, Trace
from parity_tests.localisation.opkinds import INPUT
from parity_tests.localisation.pictures import read_by_network

PICTURE: Array = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
VALUES: Array = PICTURE.astype(np.float32)


def step(op: str, output: str, reads: tuple[str, ...], value: Array) -> Step:
    return Step(op, output, reads, "", value)


def trace(*between: Step, read: str) -> Trace:
    conv = step("CONV_2D", "conv", (read,), np.ones((1, 1, 1, 2), np.float32))
    return (step(INPUT, "face", (), PICTURE), *between, conv)


@pytest.mark.parametrize("reverse", [False, True])
def test_it_is_the_last_tensor_before_the_network(reverse: bool) -> None:
    flat = VALUES.reshape(1, 2, 6)
    found = read_by_network(
        trace(
            step("DEQUANTIZE", "levels", ("face",), VALUES),
            step("RESHAPE", "rows", ("levels",), flat),
            step("MUL", "scaled", ("rows",), flat * 2),
            step("RESHAPE", "values", ("scaled",), VALUES * 2),
            read="values",
        ),
        reverse=reverse,
    )
    assert [(s.op, s.output, s.inputs) for s in found] == [
        (INPUT, "face", ()),
        ("CONV_2D", "conv", ("face",)),
    ]
    np.testing.assert_array_equal(found[0].value, (VALUES * 2)[..., :: -1 if reverse else 1])


def test_it_is_before_what_quantises_it() -> None:
    quantised = step("QUANTIZE[int8]", "steps", ("levels",), VALUES)
    levels = step("DEQUANTIZE", "levels", ("face",), VALUES)
    found = read_by_network(trace(levels, quantised, read="steps"), reverse=False)
    assert [s.output for s in found] == ["face", "steps", "conv"]
    assert found[1].inputs == ("face",)
    assert found[0].value.dtype == np.float32


def test_what_several_ops_read_is_what_the_network_reads() -> None:
    levels = step("DEQUANTIZE", "levels", ("face",), VALUES)
    one = step("MUL", "one", ("levels",), VALUES * 2)
    other = step("ADD", "other", ("levels",), VALUES + 2)
    found = read_by_network(trace(levels, one, other, read="one"), reverse=False)
    assert [s.output for s in found] == ["face", "one", "other", "conv"]
    np.testing.assert_array_equal(found[0].value, VALUES)


def test_a_picture_that_the_network_reads_itself_stays() -> None:
    whole = trace(read="face")
    assert read_by_network(whole, reverse=True) == whole
