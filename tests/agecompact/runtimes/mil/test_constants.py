"""Constants are those that coremltools' own decoder reads, whatever they are stored as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.runtimes.mil.constants import decode_all, is_constant
from agecompact.runtimes.mil.package import read_package
from agecompact.runtimes.mil.program import read_program
from tests.support import BuildOf

EXPRESSIONS = {
    "16-float32-int8": "constexpr_affine_dequantize",
    "16-float16-lut4": "constexpr_lut_to_dense",
    "16-float16-pruned": "constexpr_sparse_to_dense",
    "18-float32-int4": "constexpr_blockwise_shift_scale",
    "18-float16-lut6": "constexpr_lut_to_dense",
    "18-float16-pruned": "constexpr_sparse_to_dense",
}


def theirs(path: Path) -> dict[str, Any]:
    """Every constant as coremltools decodes it."""
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


def assert_same(path: Path) -> int:
    package = read_package(path)
    mine, other = decode_all(read_program(package.specification), package), theirs(path)
    # What is written in place, theirs makes constants of.
    assert mine.keys() <= other.keys()
    for name, decoded in mine.items():
        np.testing.assert_array_equal(decoded.value, other[name], err_msg=name)
        if not isinstance(decoded.value, str):
            assert decoded.value.dtype == np.asarray(other[name]).dtype, name
    return len(mine)


def test_of_every_compression(packages: dict[str, Path]) -> None:
    for path in packages.values():
        assert assert_same(path) > 10


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_compressions_are_the_ones_meant(name: str, packages: dict[str, Path]) -> None:
    program = read_program(read_package(packages[name]).specification)
    kinds = {op.kind for op in program.ops if is_constant(op)}
    assert EXPRESSIONS[name] in kinds


@pytest.mark.parametrize("model", ["ssrnet", "c3ae"])
def test_of_a_build(model: str, build_of: BuildOf) -> None:
    pytest.importorskip("coremltools")
    for path in sorted(build_of(model).folder.glob("*.mlpackage")):
        assert assert_same(path) > 100
