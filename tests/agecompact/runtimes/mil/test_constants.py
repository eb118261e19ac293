"""Decoded constants equal those of coremltools' decoder, however they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.runtimes.mil.constants import constants_of, is_constant
from agecompact.runtimes.mil.package import read_package
from tests.support import BuildOf

COMPRESSIONS = {
    "16-float32-int8": "constexpr_affine_dequantize",
    "16-float16-lut4": "constexpr_lut_to_dense",
    "16-float16-pruned": "constexpr_sparse_to_dense",
    "18-float32-int4": "constexpr_blockwise_shift_scale",
    "18-float16-lut6": "constexpr_lut_to_dense",
    "18-float16-pruned": "constexpr_sparse_to_dense",
}


def decoded_by_coremltools(path: Path) -> dict[str, Any]:
    from coremltools.converters.mil.frontend.milproto import load
    from coremltools.models.utils import load_spec

    specification = load_spec(str(path))
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    program = load.load(
        specification, specification.specificationVersion, file_weights_dir=str(weights)
    )
    found: dict[str, Any] = {}
    for op in program.functions["main"].operations:
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            value = op.outputs[0].val
            if value is None:
                value = op.materialized_val_inference()
            found[op.outputs[0].name] = value
    return found


def assert_same(path: Path, at_least: int) -> None:
    constants = constants_of(read_package(path).program)
    expected = decoded_by_coremltools(path)
    # coremltools also gives constants that are written in place.
    assert constants.keys() <= expected.keys()
    assert len(constants) > at_least
    for name, constant in constants.items():
        value = constant.value.value
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
        if not isinstance(value, str):
            assert value.dtype == np.asarray(expected[name]).dtype, name


def test_constants_of_every_compression(packages: dict[str, Path]) -> None:
    for path in packages.values():
        assert_same(path, at_least=10)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_the_packages_have_the_intended_compressions(name: str, packages: dict[str, Path]) -> None:
    ops = read_package(packages[name]).program.ops
    assert COMPRESSIONS[name] in {op.kind for op in ops if is_constant(op)}


@pytest.mark.parametrize("model", ["ssrnet", "c3ae"])
def test_constants_of_a_build(model: str, build_of: BuildOf) -> None:
    pytest.importorskip("coremltools")
    for path in sorted(build_of(model).folder.glob("*.mlpackage")):
        assert_same(path, at_least=100)
