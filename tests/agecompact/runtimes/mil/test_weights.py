"""The weights inside a package, held to those it was made from: one wrong bit is found."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.runtimes.coreml import MODEL_FILE
from agecompact.runtimes.mil.package import read_package
from agecompact.runtimes.mil.program import BlobPlace, read_program
from parity_tests.weights import compare_weights
from tests.agecompact.runtimes.mil.authoring import edited, operations

WEIGHTS = MODEL_FILE.parent / "weights" / "weight.bin"
COMPRESSIONS = ("int8", "uint8", "lut4", "lut6", "uniform6", "pruned")

# Of the data that a compressed weight is made of, and what is found when its top bit flips.
DATA = {
    "": ("const", "val", "value"),
    "int8": ("constexpr_affine_dequantize", "quantized_data", "step"),
    "lut4": ("constexpr_lut_to_dense", "indices", "palette"),
    "pruned": ("constexpr_sparse_to_dense", "nonzero_data", "value"),
}


def flipped(package: Path, folder: Path, kind: str, parameter: str, bit: int) -> Path:
    """A copy whose first blob of a parameter has one bit of its first element flipped."""
    copy = folder / "flipped.mlpackage"
    shutil.copytree(package, copy)
    places = [
        constant.data
        for op in read_program(read_package(package).specification).ops
        if op.kind == kind
        for name, constant in op.attributes.items()
        if name == parameter and isinstance(constant.data, BlobPlace)
    ]
    file = copy / WEIGHTS
    content = bytearray(file.read_bytes())
    (start,) = struct.unpack_from("<Q", content, places[0].offset + 16)
    content[start + bit // 8] ^= 1 << bit % 8
    file.write_bytes(bytes(content))
    return copy


@pytest.mark.parametrize("target", ["16", "18"])
def test_float16_holds_the_float32_weights_rounded_once(
    target: str, packages: dict[str, Path]
) -> None:
    assert compare_weights(packages[f"{target}-float16"], packages[f"{target}-float32"]) == ()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("target", ["16", "18"])
def test_a_compression_is_that_of_its_weights(
    target: str, precision: str, compression: str, packages: dict[str, Path]
) -> None:
    name = f"{target}-{precision}"
    assert compare_weights(packages[f"{name}-{compression}"], packages[name]) == ()
    # Those of the float32 package too: rounding comes first.
    if precision == "float16":
        assert compare_weights(packages[f"{name}-{compression}"], packages["16-float32"]) == ()


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_so_is_that_of_blocks_of_int4(precision: str, packages: dict[str, Path]) -> None:
    name = f"18-{precision}"
    assert compare_weights(packages[f"{name}-int4"], packages[name]) == ()


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_one_flipped_mantissa_bit_is_found(
    precision: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    package = packages[f"16-{precision}"]
    harmed = flipped(package, tmp_path, "const", "val", 0)
    (fault,) = compare_weights(harmed, packages["16-float32"])
    assert (fault.kind, fault.elements) == ("value", 1)


@pytest.mark.parametrize("compression", ["int8", "lut4", "pruned"])
def test_a_flipped_bit_of_compressed_data_is_found(
    compression: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    kind, parameter, found = DATA[compression]
    bit = {"int8": 6, "lut4": 3, "pruned": 0}[compression]
    harmed = flipped(packages[f"16-float32-{compression}"], tmp_path, kind, parameter, bit)
    faults = compare_weights(harmed, packages["16-float32"])
    assert [(fault.kind, fault.elements) for fault in faults] == [(found, 1)]


def test_weights_dropped_for_their_size_are_the_smallest(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    harmed = flipped(packages["16-float32-pruned"], tmp_path, *DATA["pruned"][:2], 30)
    assert compare_weights(packages["16-float32-pruned"], harmed)


def of_kind(specification: Any, kind: str) -> list[Any]:
    return [op for op in operations(specification) if op.type == kind]


def another_op(specification: Any) -> None:
    of_kind(specification, "tanh")[0].type = "sigmoid"


def an_op_less(specification: Any) -> None:
    ops = operations(specification)
    place = next(i for i, op in enumerate(ops) if op.type == "tanh")
    ops[place - 1].outputs[0].name = ops[place].outputs[0].name
    del ops[place]


def another_link(specification: Any) -> None:
    convolutions = of_kind(specification, "conv")
    product = of_kind(specification, "mul")[0]
    product.inputs["x"].arguments[0].name = convolutions[0].outputs[0].name


def another_stride(specification: Any) -> None:
    name = of_kind(specification, "conv")[0].inputs["strides"].arguments[0].name
    for op in of_kind(specification, "const"):
        if op.outputs[0].name == name:
            op.attributes["val"].immediateValue.tensor.ints.values[0] = 1


def another_padding(specification: Any) -> None:
    name = of_kind(specification, "conv")[0].inputs["pad_type"].arguments[0].name
    for op in of_kind(specification, "const"):
        if op.outputs[0].name == name:
            op.attributes["val"].immediateValue.tensor.strings.values[0] = "same"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (another_op, "graph"),
        (an_op_less, "graph"),
        (another_link, "graph"),
        (another_stride, "value"),
        (another_padding, "value"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_another_graph_is_found(
    change: Callable[[Any], None], kind: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    harmed = edited(packages["16-float32"], tmp_path, change)
    assert compare_weights(harmed, packages["16-float32"])[0].kind == kind


def test_a_broken_package_is_an_error(packages: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "broken.mlpackage"
    shutil.copytree(packages["16-float32"], copy)
    (copy / WEIGHTS).write_bytes(b"")
    with pytest.raises(UsageError, match="broken"):
        compare_weights(copy, packages["16-float32"])


def test_a_negative_zero_is_another_weight(packages: dict[str, Path], tmp_path: Path) -> None:
    harmed = flipped(packages["16-float32"], tmp_path, "const", "val", 31)
    (fault,) = compare_weights(harmed, packages["16-float32"])
    assert fault.elements == 1
    assert np.isfinite(float(fault.reason.rsplit(" ", 1)[1]))
