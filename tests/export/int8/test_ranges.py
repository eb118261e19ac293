"""The ranges of activations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from export.int8.graph import Op
from export.int8.ranges import best_range, input_ranges, output_range


class _Graph:
    """The readers of one tensor."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def readers(self, tensor: int) -> list[Op]:
        return [_op(kind, (tensor,)) for kind in self.kinds]


def _op(kind: str, inputs: tuple[int, ...] = (7,)) -> Op:
    return Op(0, kind, inputs, 8, None)


def _range_of(kind: str, ends: Mapping[int, tuple[float, float]]) -> tuple[float, float]:
    values = torch.linspace(-5, 5, 1000)
    random = np.random.default_rng(0)
    return output_range(_Graph(), _op(kind), values, ends, random)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "PAD", "RESHAPE", "CONCATENATION"])
def test_what_copies_values_has_the_range_of_what_it_reads(kind: str) -> None:
    assert _range_of(kind, {7: (-1.0, 2.0)}) == (-1.0, 2.0)


def test_kernels_demand_the_ranges_of_tanh_and_logistic() -> None:
    assert _range_of("TANH", {}) == (-1.0, 127 / 128)
    assert _range_of("LOGISTIC", {}) == (0.0, 255 / 256)


def test_below_minus_3_a_hard_swish_is_0_so_the_range_ends_there() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(0, 20, 50_000))
    random = np.random.default_rng(0)
    for kinds in (("HARD_SWISH",), ("HARD_SWISH", "ADD"), ("CONV_2D",)):
        low, high = best_range(_Graph(*kinds), 7, values, random)  # type: ignore[arg-type]
        assert high > 40
        assert (low > -4) == (kinds == ("HARD_SWISH",))


def test_a_tensor_that_is_always_0_has_a_range_that_litert_takes() -> None:
    random = np.random.default_rng(0)
    low, high = best_range(_Graph("CONV_2D"), 7, torch.zeros(100), random)  # type: ignore[arg-type]
    assert high - low >= 0.05


def test_what_is_joined_has_one_range_or_stays_float() -> None:
    join = _op("CONCATENATION", (1, 2))
    seen = {1: torch.tensor([-1.0, 0.0]), 2: torch.tensor([0.0, 3.0])}
    random = np.random.default_rng(0)

    def found(known: Mapping[int, tuple[float, float]]) -> Mapping[int, tuple[float, float]] | None:
        return input_ranges(_Graph(), join, seen, known, random)  # type: ignore[arg-type]

    assert found({}) == {1: (-1.0, 3.0), 2: (-1.0, 3.0)}
    assert found({1: (-2.0, 2.0)}) == {2: (-2.0, 2.0)}
    assert found({1: (-2.0, 2.0), 2: (-1.0, 1.0)}) is None
