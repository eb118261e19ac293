"""A diagnosis is given where its fault happened, and none where it did not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.localisation import epsilon
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


def test_two_causes_that_explain_an_output_are_both_named() -> None:
    """Between -1 and 1 these are one function, and nothing says which was meant."""
    before = np.clip(MAPS, -0.9, 0.9)
    fault = context("sigmoid", "sigmoid", before, 1 / (1 + np.exp(-before)), before)
    found = diagnose(fault)
    assert found is not None
    assert found.cause == "activation removed or activation replaced"
    assert "consistent with either: sigmoid is missing or the values are those of clip" in (
        found.evidence
    )


def test_a_fit_is_not_reported_where_a_prediction_explains_the_output() -> None:
    """A leaky relu with the slope 0.3 has a name, one with 0.37 is described."""
    for slope, said in ((0.3, "those of relu with slope 0.3"), (0.37, "multiplied by 0.37")):
        got = np.where(MAPS > 0, MAPS, slope * MAPS)
        found = diagnose(context("relu", "relu", MAPS, RELU, got))
        assert found is not None
        assert found.cause == "activation replaced"
        assert said in found.evidence


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-np.inf, 1.2, "at most 1.2"), (-0.5, np.inf, "at least -0.5"), (-0.5, 1.2, "-0.5..1.2")],
)
def test_a_clip_is_reported_with_the_bounds_that_act(low: float, high: float, said: str) -> None:
    found = diagnose(context("add", "add", MAPS, MAPS, np.clip(MAPS, low, high)))
    assert found is not None
    assert found.evidence.startswith(f"clipped to {said}: ")


def test_the_rounding_of_the_greatest_value_is_no_bound() -> None:
    """A float16 file's smallest answer is 0.0001 above PyTorch's; only the highest are clipped."""
    got = np.minimum(MAPS, 1.2)
    got[got == got.min()] += 1e-7
    found = diagnose(context("add", "add", MAPS, MAPS, got))
    assert found is not None
    assert found.evidence.startswith("clipped to at most 1.2: ")


def test_one_value_tells_no_factor_from_a_shift() -> None:
    right, got = np.full((1, 1, 1), 40.0), np.full((1, 1, 1), 39.0)
    assert diagnose(context("mul", "mul", right, right, got)) is None


PIXELS = RANDOM.uniform(0, 255, size=(2, 1, 3, 5, 5))


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (PIXELS / 255, "channels scaled by 0.003922, 0.003922, 0.003922"),
        (PIXELS - 104, "channels shifted by -104, -104, -104"),
        (PIXELS[:, :, ::-1] / 2 + 1, "reversed channels scaled by 0.5, 0.5, 0.5 and shifted by 1"),
    ],
)
def test_a_scale_of_one_and_a_shift_of_nothing_are_not_reported(got: np.ndarray, said: str) -> None:
    found = diagnose(context("face", "input", PIXELS, PIXELS, got))
    assert found is not None
    assert found.cause == "value range / mean / std"
    assert found.evidence == said or found.evidence.startswith(said + ", ")


def test_the_scale_of_a_constant_input_is_not_reported() -> None:
    grey = np.full_like(PIXELS, 128.0)
    found = diagnose(context("face", "input", grey, grey, grey / 255 - 0.1))
    assert found is None or "scaled" not in found.evidence


VARIANCE = np.array([0.02, 0.05, 0.4, 3.0])


@pytest.mark.parametrize(
    ("variance", "right", "wrong", "known", "said"),
    [
        (VARIANCE, 1e-3, 1e-5, 1e-8, "1e-05, 0.001 in the reference"),
        (VARIANCE, 1e-5, 1e-3, 1e-8, "0.001, 1e-05 in the reference"),
        (VARIANCE, 1e-3, 4e-4, 1e-8, "0.0004 to 0.0004, 0.001 in the reference"),
        # So little is known of these channels that 1e-5 and 0 are both possible.
        (VARIANCE * 1e3, 1e-3, 1e-5, 1e-6, "below 0.00"),
    ],
)
def test_an_epsilon_is_known_as_well_as_its_channels_tell(
    variance: np.ndarray, right: float, wrong: float, known: float, said: str
) -> None:
    stretch = np.sqrt((variance + right) / (variance + wrong))
    found = epsilon.explain(stretch, np.full(4, known), variance, right)
    assert said in str(found)


def test_no_epsilon_explains_one_scaled_channel() -> None:
    stretch = np.array([1.0, 1.0, 1.01, 1.0])
    assert epsilon.explain(stretch, np.full(4, 1e-7), VARIANCE, 1e-3) is None


def test_a_wrong_input_is_passed_on_though_rounding_costs_its_readers_more() -> None:
    assert passed_on({0: 6e7, 1: 4e5, 2: 2e5}, {0: [], 1: [0], 2: [1]}) == {0, 1, 2}


def test_a_lucky_rounding_before_a_fault_is_not_its_origin() -> None:
    assert find_origin({0: 0.0, 1: 15.0, 2: 5.0, 3: 1e7}, {0: [], 1: [0], 2: [1], 3: [2]}) == 3
