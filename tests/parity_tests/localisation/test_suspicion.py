"""Suspicions speak where what they suspect happened, and hold their tongue where it did not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.localisation.jump import birthplace, carried_on
from parity_tests.localisation.scene import Link, Scene
from parity_tests.localisation.suspicion import suspect

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
