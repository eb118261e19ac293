"""Tensors are paired in spite of what converters do to a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agecompact.runtimes.base import Step, Trace
from parity_tests.localisation.alignment import align
from parity_tests.localisation.graph import Graph
from parity_tests.localisation.layouts import views

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(1, 4, 6, 5)).astype(np.float32)


def nhwc(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value.transpose(0, 2, 3, 1))


def step(op: str, name: str, reads: str, value: np.ndarray, scope: str = "") -> Step:
    return Step(op, name, tuple(reads.split()), scope, value)


def reference() -> Trace:
    normed = MAPS * 2 + 1
    active = normed * np.clip(normed + 3, 0, 6) / 6
    flat = active.transpose(0, 2, 3, 1).reshape(1, -1)
    return (
        step("input", "x", "", MAPS),
        step("conv2d", "conv", "x", MAPS * 0.7, "block.0"),
        step("batch_norm", "bn", "conv", normed, "block.1"),
        step("hardswish", "act", "bn", active, "block.2"),
        step("permute", "permute", "act", nhwc(active)),
        step("flatten", "flat", "permute", flat),
        step("dropout", "drop", "flat", flat),
        step("linear", "age", "drop", flat[:, :1] * 3, "age"),
    )


def found(candidate: Trace) -> dict[str, str]:
    mine = reference()
    pairs = align(Graph([mine]), Graph([candidate]))
    return {mine[p.reference].output: candidate[p.candidate].output for p in pairs}


def converted() -> list[Step]:
    """NHWC, batch norm folded, a pad added, hard-swish split, no permutation, no dropout."""
    values = {s.output: s.value for s in reference()}
    padded = np.pad(nhwc(MAPS), ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = nhwc(values["bn"]) + 3
    return [
        step("input", "in", "", nhwc(MAPS)),
        step("PAD", "pad", "in", padded),
        step("CONV_2D", "c", "pad", nhwc(values["bn"])),
        step("ADD", "plus3", "c", shifted),
        step("RELU6", "six", "plus3", np.clip(shifted, 0, 6)),
        step("MUL", "hs", "c six", nhwc(values["act"])),
        step("RESHAPE", "r", "hs", values["flat"]),
        step("FULLY_CONNECTED", "y", "r", values["age"]),
    ]


def test_folded_split_and_dropped_ops_are_paired() -> None:
    assert found(tuple(converted())) == {"x": "in", "bn": "c", "act": "hs", "flat": "r", "age": "y"}


def test_a_wrong_tensor_is_paired_by_its_place() -> None:
    steps = converted()
    wrong = RANDOM.normal(size=steps[2].value.shape).astype(np.float32)
    steps[2] = step("CONV_2D", "c", "pad", wrong)
    steps[3] = step("ADD", "plus3", "c", wrong + 3)
    steps[4] = step("RELU6", "six", "plus3", np.clip(wrong + 3, 0, 6))
    steps[5] = step("MUL", "hs", "c six", wrong * np.clip(wrong + 3, 0, 6) / 6)
    pairs = found(tuple(steps))
    assert (pairs["bn"], pairs["age"]) == ("c", "y")


def test_a_wrong_tensor_is_paired_by_its_modules_path() -> None:
    steps = converted()
    wrong = RANDOM.normal(size=steps[2].value.shape).astype(np.float32)
    steps[2] = step("Conv", "c", "pad", wrong, "block.1")
    assert found(tuple(steps))["bn"] == "c"


def test_a_flat_tensor_in_a_wrong_order_is_paired_with_the_flat_one() -> None:
    steps = converted()
    wrong = reference()[3].value.reshape(1, -1)
    steps[6] = step("RESHAPE", "r", "hs", wrong)
    assert found(tuple(steps))["flat"] == "r"


def test_separate_crops_are_paired_with_stacked_ones() -> None:
    crops = RANDOM.normal(size=(3, 2, 4, 4)).astype(np.float32)
    total = crops.sum((0, 2, 3)).reshape(1, 2)
    mine = (
        step("input", "x", "", crops),
        step("conv2d", "conv", "x", crops * 2),
        step("linear", "age", "conv", total),
    )
    theirs = (
        step("input", "x", "", crops),
        *(step("Conv", f"c{k}", "x", crops[k : k + 1] * 2) for k in range(3)),
        step("Gemm", "age", "c0 c1 c2", total),
    )
    pairs = align(Graph([mine]), Graph([theirs]))
    crops_of = {(p.candidate, p.view.crop) for p in pairs if p.view and p.reference == 1}
    assert crops_of == {(1, 0), (2, 1), (3, 2)}


@pytest.mark.parametrize(
    ("candidate", "right"),
    [
        ((1, 6, 5, 4), (1, 4, 6, 5)),
        ((1, 4, 6, 5), (1, 4, 6, 5)),
        ((1, 120), (1, 4, 6, 5)),
        ((1, 4, 6, 5), (1, 120)),
        ((1, 1, 1, 4), (1, 4)),
    ],
)
def test_every_layout_has_a_view(candidate: tuple[int, ...], right: tuple[int, ...]) -> None:
    found_views = views(candidate, right)
    assert found_views
    for view in found_views:
        assert view.of_candidate(np.zeros(candidate)).shape == right


def test_rows_and_columns_are_never_swapped() -> None:
    square = RANDOM.normal(size=(1, 3, 4, 4))
    turned = square.transpose(0, 1, 3, 2)
    assert not any(
        np.array_equal(view.of_candidate(turned), square)
        for view in views((1, 3, 4, 4), (1, 3, 4, 4))
    )


def test_a_batch_norm_that_normalises_the_image_leaves_the_others_folded() -> None:
    """Core ML's image inputs go through one; it is no counterpart of a convolution."""
    first, *others = converted()
    image = nhwc(MAPS) * 255
    norm = step("batch_norm", "normalised", "image", first.value)
    renamed = [
        replace(s, inputs=tuple("normalised" if i == "in" else i for i in s.inputs)) for s in others
    ]
    pairs = found((step("input", "image", "", image), norm, *renamed))
    assert pairs["bn"] == "c"
    assert "conv" not in pairs
