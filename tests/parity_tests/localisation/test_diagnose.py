"""Suspicions speak where what they suspect happened, and hold their tongue where it did not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity_tests.localisation.jump import birthplace, carried_on
from parity_tests.localisation.scene import Link, Scene
from parity_tests.localisation.suspicion import suspect

from parity_tests.localisation.recompute import Window, along, convolve

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(2, 1, 6, 5, 5))
ROW = RANDOM.normal(size=(2, 1, 8))


def scene(
    op: str, kind: str, before: np.ndarray, right: np.ndarray, got: np.ndarray | None, **more: Any
) -> Scene:
    fields: dict[str, Any] = {
        "reference": right,
        "candidate": got,
        "candidate_shape": right.shape[1:] if got is None else got.shape[1:],
        "candidate_op": "op",
        "sources": {"x": before},
        "chain": (Link(op, kind, "here", right),),
        "rounding": 1e-7,
    }
    return Scene(**{**fields, **more})


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(values)
    return powers / powers.sum(axis, keepdims=True)


RELU = np.maximum(MAPS, 0)
STEPS = np.round(MAPS * 20) / 20
CASES = [
    ("not finite", scene("mul", "mul", MAPS, MAPS, np.where(MAPS > 2, np.nan, MAPS))),
    (
        "fp16 overflow",
        scene("mul", "mul", MAPS, MAPS * 1e5, np.where(MAPS > 1, np.inf, MAPS * 1e5)),
    ),
    ("shape", scene("avg_pool2d", "pool", MAPS, MAPS, None)),
    ("softmax axis", scene("softmax", "softmax", ROW, softmax(ROW, 2), softmax(ROW, 1))),
    ("softmax removed", scene("softmax", "softmax", ROW, softmax(ROW, 2), ROW)),
    ("activation removed", scene("relu", "relu", MAPS, RELU, MAPS)),
    ("activation replaced", scene("relu", "relu", MAPS, RELU, np.tanh(MAPS))),
    ("activation replaced or clipped", scene("relu", "relu", MAPS, RELU, np.minimum(RELU, 1))),
    (
        "quantisation clipped range",
        scene("add", "add", MAPS, MAPS, np.clip(MAPS, -1, 1.2), candidate_op="ADD[int8]"),
    ),
    ("dead", scene("relu", "relu", MAPS, RELU, np.zeros_like(MAPS))),
    ("scale", scene("mul", "mul", MAPS, MAPS, MAPS * 0.99)),
    ("offset", scene("add", "add", MAPS, MAPS, MAPS + 0.5)),
    ("flatten order", scene("flatten", "view", ROW, ROW, ROW[..., ::-1])),
    (
        "quantisation step",
        scene("add", "store", MAPS, MAPS, STEPS, candidate_op="Cast"),
    ),
    (
        "quantisation clipped range",
        scene("add", "store", MAPS, MAPS, np.clip(STEPS, 0, 1), candidate_op="DEQUANTIZE"),
    ),
    (
        "narrowed to float16",
        scene("add", "store", MAPS, MAPS, np.float64(np.float16(MAPS)), candidate_op="Cast"),
    ),
]


def test_a_sum_in_line_is_known_by_its_rounding() -> None:
    maps = np.float32(RANDOM.uniform(3, 4, size=(1, 1, 8, 31, 31)))
    line = np.add.accumulate(maps.reshape(1, 1, 8, -1), -1, dtype=np.float32)[..., -1]
    got = (line / np.float32(961)).astype(np.float64).reshape(1, 1, 8, 1, 1)
    right = maps.astype(np.float64).mean((3, 4), keepdims=True)
    found = suspect(scene("mean", "reduce", maps.astype(np.float64), right, got, rounding=1e-9))
    assert found is not None
    assert found.name == "sum in line"
    assert "961" in found.evidence


@pytest.mark.parametrize(("name", "material"), CASES, ids=[name for name, _ in CASES])
def test_a_fault_is_named_with_evidence(name: str, material: Scene) -> None:
    found = suspect(material)
    assert found is not None
    assert found.name == name
    assert found.evidence


@pytest.mark.parametrize("kind", ["relu", "softmax", "affine", "pool", "concat", "view", "mul"])
def test_noise_is_of_unknown_cause(kind: str) -> None:
    noise = RANDOM.normal(size=MAPS.shape)
    assert suspect(scene("op", kind, MAPS, MAPS, noise)) is None


@pytest.mark.parametrize(
    "got",
    [
        MAPS + RANDOM.normal(size=MAPS.shape),
        np.round(MAPS * 20) / 15,  # Restored by another scale.
        np.round(MAPS * 20 + 3) / 20,  # And by another zero point.
    ],
)
def test_what_is_no_rounding_is_no_quantisation(got: np.ndarray) -> None:
    found = suspect(scene("add", "store", MAPS, MAPS, got, candidate_op="DequantizeLinear"))
    assert found is None or found.name in ("scale", "offset")


KERNEL = RANDOM.normal(size=(4, 6, 3, 3))
BIAS = RANDOM.normal(size=4)
EVEN = Window((3, 3), 1, 1, 1, 1, 1)


def convolution(held: np.ndarray, told: tuple[np.ndarray, ...]) -> Scene:
    """A candidate that computes with one kernel, and the constants that its trace tells."""
    right, got = (
        convolve(MAPS, k, EVEN) + along(BIAS, MAPS) for k in (KERNEL, np.ascontiguousarray(held))
    )
    link = Link("conv2d", "affine", "here", right)
    return scene(
        "conv2d", "affine", MAPS, right, got,
        chain=(link,), state={"here.weight": KERNEL}, constants=told,
    )  # fmt: skip


SHUFFLED = RANDOM.permutation(KERNEL.ravel()).reshape(KERNEL.shape)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (2, 3, 1, 0)])
def test_other_weights_are_counted_however_they_are_laid_out(order: tuple[int, ...]) -> None:
    one = KERNEL.copy()
    one[2, 1, 0, 0] += 0.5
    for held, told in ((SHUFFLED, "of 216, by up to"), (one, "1 of 216, by up to 0.5 ")):
        found = suspect(convolution(held, (BIAS, held.transpose(order))))
        assert found is not None
        assert (found.name, found.scope) == ("weights differ", "here")
        assert told in found.evidence


def test_weights_that_did_not_make_the_values_are_not_told() -> None:
    bystanders = RANDOM.normal(size=KERNEL.shape)
    for told in ((BIAS, bystanders), (BIAS, KERNEL), (SHUFFLED[:2],), ()):
        assert suspect(convolution(SHUFFLED, told)) is None


def test_an_error_is_born_where_it_jumps() -> None:
    reads = {0: [], 1: [0], 2: [1], 3: [2]}
    ratios = {0: 0.0, 1: 1.5, 2: 900.0, 3: 700.0}
    carried = carried_on(list(reads), ratios, reads)
    assert birthplace(list(reads), ratios, reads, carried) == 2


def test_rounding_that_accumulates_accuses_nobody() -> None:
    reads = {i: [i - 1] if i else [] for i in range(12)}
    ratios = {i: 1.6**i for i in reads}
    carried = carried_on(list(reads), ratios, reads)
    assert ratios[11] > 32
    assert birthplace(list(reads), ratios, reads, carried) is None


def test_an_error_that_the_next_op_undoes_accuses_nobody() -> None:
    reads = {0: [], 1: [0], 2: [1]}
    ratios = {0: 0.0, 1: 2700.0, 2: 0.8}
    carried = carried_on(list(reads), ratios, reads)
    assert 1 not in carried
    assert birthplace(list(reads), ratios, reads, carried) is None


def test_of_two_branches_the_faulty_one_is_accused() -> None:
    reads = {0: [], 1: [0], 2: [0], 3: [1, 2]}
    ratios = {0: 0.0, 1: 1.0, 2: 400.0, 3: 300.0}
    carried = carried_on(list(reads), ratios, reads)
    assert birthplace(list(reads), ratios, reads, carried) == 2
