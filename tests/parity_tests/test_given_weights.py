"""The weights in a Core ML package equal, bit for bit, what its converter was given."""

from __future__ import annotations

import pytest

from agecompact.models.complexity import folded_weights
from agecompact.weights import checkpoints
from parity_tests.weights import Given, compare_given
from tests.support import BuildOf


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_parameter_that_differs_in_one_bit_is_reported_in_both_directions(
    precision: str, build_of: BuildOf
) -> None:
    pytest.importorskip("coremltools")
    build = build_of("ssrnet")
    given = folded_weights(checkpoints.read(build.weights).network())
    name = next(n for n, tensor in given.items() if tensor.ndim == 4 and tensor.shape[1] > 3)
    # A bit that float16 keeps too.
    given[name] = given[name].copy()
    given[name].reshape(-1).view("uint32")[0] ^= 1 << 14
    own, missing = compare_given(build.folder / f"ssrnet_{precision}.mlpackage", Given.of(given))
    assert (own.kind, own.parameter, own.elements) == ("given", "weight", given[name].size)
    assert (missing.kind, missing.reason) == ("given", f"{name} is missing")
