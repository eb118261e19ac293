"""Kernels where MIL differs from PyTorch, or where coremltools has no test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.runtimes import mil
from agecompact.runtimes.base import Array
from agecompact.runtimes.mil import kernels  # noqa: F401 - importing registers them.
from agecompact.runtimes.mil.program import Op
from agecompact.runtimes.mil.registry import kernel, kernel_of
from tests.agecompact.runtimes.mil.authoring import Author, ramp

# The ops of the released models, of their image inputs and of older releases.
RELEASED = (
    "add avg_pool cast concat conv expand_dims linear max_pool mul real_div reduce_mean reduce_sum "
    "relu reshape sigmoid sigmoid_hard softmax sub tanh thresholded_relu"
)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs one op on one input."""

    def run_one(
        kind: str,
        x: Array,
        shape: Sequence[int],
        dtype: str = "fp32",
        /,
        input_dtype: str = "fp32",
        opset: str = "CoreML6",
        **parameters: Any,
    ) -> Array:
        author = Author(opset)
        given = author.input("x", x.shape, input_dtype)
        author.output(author.op(kind, dtype, shape, "y", x=given, **parameters))
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return author.open(folder).infer({"x": x})["y"]

    return run_one


def test_every_op_of_the_released_models_has_a_kernel() -> None:
    assert all(kernel_of(Op(kind, "y", {}, ())) for kind in RELEASED.split())


def test_an_op_has_one_kernel() -> None:
    with pytest.raises(ValueError, match="two kernels for relu"):
        kernel("relu")(lambda p: p.tensor("x"))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        # What a Mac computed for coremltools pull request 2844; PyTorch computes something else.
        (
            {
                "pad_type": "custom",
                "pad": np.zeros(4, np.int32),
                "exclude_padding_from_average": False,
            },
            [[4.0, 7.0, 4.75], [25.0, 28.0, 15.25], [21.25, 22.75, 12.0]],
        ),
        # PyTorch computes the same.
        (
            {"pad_type": "valid", "exclude_padding_from_average": True},
            [[4.0, 7.0, 9.5], [25.0, 28.0, 30.5], [42.5, 45.5, 48.0]],
        ),
    ],
    ids=["included", "excluded"],
)
def test_what_a_window_covers_beyond_the_input_counts_as_padding(
    padding: dict[str, Any], expected: list[list[float]], run: Any
) -> None:
    windows = {"kernel_sizes": np.array([2, 2]), "strides": np.array([3, 3]), "ceil_mode": True}
    pooled = run("avg_pool", ramp(1, 1, 7, 7), (1, 1, 3, 3), **windows, **padding)
    np.testing.assert_array_equal(pooled[0, 0], expected)


@pytest.mark.parametrize(("pad_type", "expected"), [("same", [1, 5, 4]), ("same_lower", [0, 3, 7])])
def test_an_odd_element_of_padding_goes_after_or_before(
    pad_type: str, expected: list[int], run: Any
) -> None:
    summed = run(
        "conv",
        ramp(1, 1, 5),
        (1, 1, 3),
        weight=np.ones((1, 1, 2), np.float32),
        pad_type=pad_type,
        strides=np.array([2]),
    )
    assert summed[0, 0].tolist() == expected


def test_interleaving_takes_one_element_of_each_in_turn(tmp_path: Path) -> None:
    author = Author()
    x, y = author.input("x", (2, 2)), author.input("y", (2, 2))
    together = author.op(
        "concat", "fp32", (4, 2), "z", values=[x, y], axis=np.int32(-2), interleave=True
    )
    author.output(together)
    rows = author.open(tmp_path).infer({"x": ramp(2, 2), "y": ramp(2, 2) + 10})["z"]
    assert rows.tolist() == [[0, 1], [10, 11], [2, 3], [12, 13]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("inverse", 1e4), ("rsqrt", 1e6), ("log", float(np.log(np.float32(1e-45))))],
)
def test_epsilons_are_mils(kind: str, expected: float, run: Any) -> None:
    """coremltools issue 2773: a reciprocal becomes `inverse`, which has an epsilon."""
    assert run(kind, np.zeros(1, np.float32), (1,))[0] == pytest.approx(expected, rel=1e-4)


def test_hard_swish_as_it_is_saved(tmp_path: Path) -> None:
    """thresholded_relu(-3), sigmoid_hard(1/6, 0.5), mul."""
    author = Author()
    x = author.input("x", (7,))
    cut = author.op("thresholded_relu", "fp32", (7,), x=x, alpha=np.float32(-3))
    gate = author.op(
        "sigmoid_hard", "fp32", (7,), x=cut, alpha=np.float32(1 / 6), beta=np.float32(0.5)
    )
    author.output(author.op("mul", "fp32", (7,), "y", x=cut, y=gate))
    values = np.array([-4, -3, -1, 0, 1, 3, 4], np.float32)
    expected = values * np.clip(values / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(author.open(tmp_path).infer({"x": values})["y"], expected, atol=1e-6)


def test_float16_is_rounded_after_every_op_except_in_float32_arithmetic(tmp_path: Path) -> None:
    author = Author()
    x = author.input("x", (2,))
    half = author.op("cast", "fp16", (2,), x=x, dtype="fp16")
    large = author.op("mul", "fp16", (2,), x=half, y=np.float16(1024))
    small = author.op("real_div", "fp16", (2,), x=large, y=np.float16(1024))
    author.output(author.op("cast", "fp32", (2,), "y", x=small, dtype="fp32"))
    path = str(author.save(tmp_path / "a.mlpackage"))
    values = np.array([1.0001, 100.0], np.float32)
    rounded = mil.MIL.open_session(path, 1).infer({"x": values})["y"]
    # 100 * 1024 is too large for float16: Core ML overflows here too (coremltools issue 2110).
    assert rounded.tolist() == [1.0, np.inf]
    exact = mil.FLOAT32.open_session(path, 1).infer({"x": values})["y"]
    np.testing.assert_array_equal(exact, values)


def test_integers_wrap_around_in_their_stored_type(run: Any) -> None:
    x = np.array([2**31 - 1, -7], np.int32)
    doubled = run("mul", x, (2,), "int32", input_dtype="int32", y=np.int32(2))
    assert doubled.tolist() == [-2, -14]
    halved = run("floor_div", x, (2,), "int32", input_dtype="int32", y=np.int32(2))
    assert halved.tolist() == [2**30 - 1, -4]


def test_a_reshape_keeps_sizes_from_the_end_since_ios17(run: Any) -> None:
    shape = np.array([1, 0, -1, 0], np.int32)
    with pytest.raises(UsageError, match="must keep the rank"):
        run("reshape", ramp(2, 50), (1, 1, 2, 50), shape=shape)
    kept = run("reshape", ramp(2, 50), (1, 1, 2, 50), opset="CoreML7", shape=shape)
    assert kept.shape == (1, 1, 2, 50)


def test_an_index_out_of_range_is_an_error(run: Any) -> None:
    negative = {"indices": np.array([-1], np.int32), "axis": np.int32(0)}
    assert run("gather", ramp(3), (1,), **negative).tolist() == [2]
    with pytest.raises(UsageError, match="out of range"):
        run("gather", ramp(3), (1,), opset="CoreML7", **negative)
