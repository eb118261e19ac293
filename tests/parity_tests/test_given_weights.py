"""The weights in a Core ML package equal, bit for bit, what its converter was given."""

from __future__ import annotations

import numpy as np
import pytest

from agecompact.models.complexity import folded_weights
from agecompact.runtimes.mil import ConstantRef, ConstantValue
from agecompact.runtimes.mil.tensor_types import BY_NAME, TensorType
from agecompact.weights import checkpoints
from parity_tests import weights
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


# As large as the biases of a batch norm behind another one, and one number that float16 can hold.
_TINY = np.float32([-2.7e-9, 4.2e-9, 0.0, -0.0, 1e-7, 0.05])


@pytest.mark.parametrize(
    ("values", "equal"),
    [
        # What coremltools stores for them, and a plain cast.
        ([-(2**-24), 2**-24, 0.0, -0.0, 1e-7, 0.05], True),
        ([-0.0, 0.0, 0.0, -0.0, 1e-7, 0.05], True),
        ([2**-24, 2**-24, 0.0, -0.0, 1e-7, 0.05], False),
        ([-(2**-24), 2**-24, 2**-24, -0.0, 1e-7, 0.05], False),
    ],
)
def test_a_number_that_float16_cannot_hold_may_be_the_least_one(
    values: list[float], equal: bool
) -> None:
    stored = np.float16(values)
    given = Given.of({"bias": _TINY})
    assert (weights._hash(stored) in given.names) == equal
    wanted = ConstantValue(TensorType(BY_NAME["fp32"], _TINY.shape), _TINY)
    own = ConstantRef(ConstantValue(TensorType(BY_NAME["fp16"], stored.shape), stored))
    assert (not list(weights._differences(own, wanted))) == equal
