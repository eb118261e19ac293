"""The text of ncnn's graphs is read and written without a loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.runtimes.ncnn_graph import Layer, parse, written

# As pnnx 20261020 wrote it.
PNNX = """7767517
4 4
Input                    in0                      0 1 in0
Convolution              convrelu_0               1 1 in0 1 0=32 1=3 11=3 4=0 5=1 6=864 9=1
Split                    splitncnn_0              1 2 1 2 3
BinaryOp                 mul_0                    2 1 2 3 out0 0=2
"""
_NAMES = st.text("abcdefgh_0123456789", min_size=1, max_size=8)
_LAYERS = st.lists(
    st.builds(
        Layer,
        _NAMES,
        _NAMES,
        st.lists(_NAMES, max_size=3).map(tuple),
        st.lists(_NAMES, max_size=3).map(tuple),
        st.dictionaries(st.integers(0, 20).map(str), st.text("0123456789.-e", min_size=1)),
    ),
    min_size=1,
    max_size=6,
)


def test_layers_have_names_tensors_and_settings() -> None:
    layers = parse(PNNX)
    assert [each.kind for each in layers] == ["Input", "Convolution", "Split", "BinaryOp"]
    assert layers[1].settings["6"] == "864"
    assert (layers[2].inputs, layers[2].outputs) == (("1",), ("2", "3"))
    assert layers[3] == Layer("BinaryOp", "mul_0", ("2", "3"), ("out0",), {"0": "2"})


@given(_LAYERS)
def test_what_is_written_is_read_again(layers: list[Layer]) -> None:
    assert parse(written(layers)) == tuple(layers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7767517",
        "1 1\n1 1\nInput in0 0 1 in0\n",
        PNNX[: len(PNNX) // 2],
        PNNX.replace("4 4", "5 5"),
        PNNX.replace("1 2 1 2 3", "1 2 1"),
        PNNX.replace("0=2", "two"),
    ],
    ids=["empty", "magic", "other", "cut", "count", "tensors", "setting"],
)
def test_what_is_no_graph_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
