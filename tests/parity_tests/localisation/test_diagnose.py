"""A diagnosis is given where its fault happened, and none where it did not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.localisation.context import FaultContext, ReferenceOp
from parity_tests.localisation.diagnose import diagnose
from parity_tests.localisation.origin import find_origin, passed_on
from parity_tests.localisation.recompute import Window, along, convolve

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 1, 6, 5, 5))
ROW = RANDOM.normal(size=(2, 1, 8))


def context(
    op: str, kind: str, before: np.ndarray, right: np.ndarray, got: np.ndarray | None, **more: Any
) -> FaultContext:
    fields: dict[str, Any] = {
        "reference": right,
        "candidate": got,
        "candidate_shape": right.shape[1:] if got is None else got.shape[1:],
        "candidate_op": "op",
        "inputs": {"x": before},
        "chain": (ReferenceOp(op, kind, "here", right),),
        "rounding": 1e-7,
    }
    return FaultContext(**{**fields, **more})


def stored(got: np.ndarray, op: str) -> FaultContext:
    return context("add", "store", MAPS, MAPS, got, candidate_op=op)


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(values)
    return powers / powers.sum(axis, keepdims=True)


RELU = np.maximum(MAPS, 0)
STEPS = np.round(MAPS * 20) / 20
OVERFLOWN = np.where(MAPS > 1, np.inf, MAPS * 1e5)
CLIPPED = context("add", "add", MAPS, MAPS, np.clip(MAPS, -1, 1.2), candidate_op="ADD[int8]")
CASES = [
    ("not finite", context("mul", "mul", MAPS, MAPS, np.where(MAPS > 2, np.nan, MAPS))),
    ("fp16 overflow", context("mul", "mul", MAPS, MAPS * 1e5, OVERFLOWN)),
    ("shape", context("avg_pool2d", "pool", MAPS, MAPS, None)),
    ("softmax axis", context("softmax", "softmax", ROW, softmax(ROW, 2), softmax(ROW, 1))),
    ("softmax removed", context("softmax", "softmax", ROW, softmax(ROW, 2), ROW)),
    ("activation removed", context("relu", "relu", MAPS, RELU, MAPS)),
    ("activation replaced", context("relu", "relu", MAPS, RELU, np.tanh(MAPS))),
    ("clipped", context("relu", "relu", MAPS, RELU, np.minimum(RELU, 1.2))),
    ("quantisation clipped range", CLIPPED),
    ("dead", context("relu", "relu", MAPS, RELU, np.zeros_like(MAPS))),
    ("scaled", context("mul", "mul", MAPS, MAPS, MAPS * 0.99)),
    ("shifted", context("add", "add", MAPS, MAPS, MAPS + 0.5)),
    ("flatten order", context("flatten", "view", ROW, ROW, ROW[..., ::-1])),
    ("quantisation step", stored(STEPS, "Cast")),
    ("quantisation clipped range", stored(np.clip(STEPS, 0, 1), "DEQUANTIZE")),
    ("narrowed to float16", stored(np.float64(np.float16(MAPS)), "Cast")),
]


@pytest.mark.parametrize(("cause", "fault"), CASES, ids=[cause for cause, _ in CASES])
def test_a_fault_is_diagnosed_with_evidence(cause: str, fault: FaultContext) -> None:
    found = diagnose(fault)
    assert found is not None
    assert found.cause == cause
    assert found.evidence


def test_a_sequential_sum_is_diagnosed_by_its_rounding() -> None:
    maps = np.float32(RANDOM.uniform(3, 4, size=(1, 1, 8, 31, 31)))
    total = np.add.accumulate(maps.reshape(1, 1, 8, -1), -1, dtype=np.float32)[..., -1]
    got = (total / np.float32(961)).astype(np.float64).reshape(1, 1, 8, 1, 1)
    right = maps.astype(np.float64).mean((3, 4), keepdims=True)
    fault = context("mean", "reduce", maps.astype(np.float64), right, got, rounding=1e-9)
    found = diagnose(fault)
    assert found is not None
    assert found.cause == "sequential sum"
    assert "961" in found.evidence


@pytest.mark.parametrize("kind", ["relu", "softmax", "affine", "pool", "concat", "view", "mul"])
def test_noise_has_no_diagnosis(kind: str) -> None:
    noise = RANDOM.normal(size=MAPS.shape)
    assert diagnose(context("op", kind, MAPS, MAPS, noise)) is None


@pytest.mark.parametrize(
    "got",
    [
        MAPS + RANDOM.normal(size=MAPS.shape),
        np.round(MAPS * 20) / 15,  # Restored with another scale.
        np.round(MAPS * 20 + 3) / 20,  # And with another zero point.
    ],
)
def test_only_rounding_is_diagnosed_as_quantisation(got: np.ndarray) -> None:
    found = diagnose(stored(got, "DequantizeLinear"))
    assert found is None or found.cause in ("scaled", "shifted")


KERNEL = RANDOM.normal(size=(4, 6, 3, 3))
BIAS = RANDOM.normal(size=4)
EVEN = Window((3, 3), 1, 1, 1, 1, 1)
SHUFFLED = RANDOM.permutation(KERNEL.ravel()).reshape(KERNEL.shape)


def convolution(held: np.ndarray, constants: tuple[np.ndarray, ...]) -> FaultContext:
    """A candidate that computes with one kernel, and the constants in its trace."""
    right, got = (
        convolve(MAPS, k, EVEN) + along(BIAS, MAPS) for k in (KERNEL, np.ascontiguousarray(held))
    )
    state = {"here.weight": KERNEL}
    return context("conv2d", "affine", MAPS, right, got, state=state, constants=constants)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (2, 3, 1, 0)])
def test_other_weights_are_counted_in_any_layout(order: tuple[int, ...]) -> None:
    one = KERNEL.copy()
    one[2, 1, 0, 0] += 0.5
    for held, count in ((SHUFFLED, "of 216, by up to"), (one, "1 of 216, by up to 0.5 ")):
        found = diagnose(convolution(held, (BIAS, held.transpose(order))))
        assert found is not None
        assert (found.cause, found.scope) == ("weights differ", "here")
        assert count in found.evidence


def test_weights_that_do_not_explain_the_output_are_not_reported() -> None:
    bystanders = RANDOM.normal(size=KERNEL.shape)
    for constants in ((BIAS, bystanders), (BIAS, KERNEL), (SHUFFLED[:2],), ()):
        assert diagnose(convolution(SHUFFLED, constants)) is None


LINE = {0: [], 1: [0], 2: [1], 3: [2]}


@pytest.mark.parametrize(
    ("reads", "ratios", "origin"),
    [
        pytest.param(LINE, [0.0, 1.5, 900.0, 700.0], 2, id="a jump"),
        pytest.param({0: [], 1: [0], 2: [1]}, [0.0, 2700.0, 0.8], None, id="undone by the next op"),
        pytest.param(
            {0: [], 1: [0], 2: [0], 3: [1, 2]},
            [0.0, 1.0, 400.0, 300.0],
            2,
            id="one of two branches",
        ),
        pytest.param(
            {i: [i - 1] if i else [] for i in range(12)},
            [1.6**i for i in range(12)],
            None,
            id="rounding accumulates",
        ),
    ],
)
def test_an_error_originates_where_its_ratio_jumps(
    reads: dict[int, list[int]], ratios: list[float], origin: int | None
) -> None:
    assert find_origin(dict(enumerate(ratios)), reads) == origin


def test_an_error_that_the_next_op_undoes_is_not_passed_on() -> None:
    assert passed_on({0: 0.0, 1: 2700.0, 2: 0.8}, {0: [], 1: [0], 2: [1]}) == {0, 2}
