"""The weights in a package, compared with their source: one wrong bit is found."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.runtimes.coreml import read_specification
from parity_tests.weights import compare_weights
from tests.agecompact.runtimes.mil.authoring import ops_of
from tests.parity_tests.editing import in_mlpackage, mil_block
from tests.weight_blobs import WEIGHT_FILE

COMPRESSIONS = ("int8", "uint8", "lut4", "lut6", "uniform6", "pruned")


def flipped(package: Path, folder: Path, kind: str, parameter: str, bit: int) -> Path:
    """A copy with one bit flipped in the first blob of a parameter."""
    copy = shutil.copytree(package, folder / "flipped.mlpackage")
    values = (op.attributes[parameter] for op in ops_of(read_specification(str(package)), kind))
    blob = next(v.blobFileValue for v in values if v.WhichOneof("value") == "blobFileValue")
    file = copy / WEIGHT_FILE
    content = bytearray(file.read_bytes())
    (start,) = struct.unpack_from("<Q", content, blob.offset + 16)
    content[start + bit // 8] ^= 1 << bit % 8
    file.write_bytes(bytes(content))
    return copy


@pytest.mark.parametrize("target", ["16", "18"])
def test_float16_weights_are_the_float32_ones_rounded_once(
    target: str, packages: dict[str, Path]
) -> None:
    assert compare_weights(packages[f"{target}-float16"], packages[f"{target}-float32"]) == ()


@pytest.mark.parametrize(
    ("target", "compression"),
    [*((t, c) for t in ("16", "18") for c in COMPRESSIONS), ("18", "int4")],
)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_compressed_weights_match_their_source(
    target: str, precision: str, compression: str, packages: dict[str, Path]
) -> None:
    name = f"{target}-{precision}"
    assert compare_weights(packages[f"{name}-{compression}"], packages[name]) == ()
    # The float32 package too: rounding comes before compression.
    if precision == "float16" and compression != "int4":
        assert compare_weights(packages[f"{name}-{compression}"], packages["16-float32"]) == ()


@pytest.mark.parametrize(
    ("package", "kind", "parameter", "bit", "fault"),
    [
        ("16-float32", "const", "val", 0, "value"),
        ("16-float16", "const", "val", 0, "value"),
        ("16-float32-int8", "constexpr_affine_dequantize", "quantized_data", 6, "step"),
        ("16-float32-lut4", "constexpr_lut_to_dense", "indices", 3, "palette"),
        ("16-float32-pruned", "constexpr_sparse_to_dense", "nonzero_data", 0, "value"),
    ],
)
def test_a_flipped_bit_is_found(
    package: str,
    kind: str,
    parameter: str,
    bit: int,
    fault: str,
    packages: dict[str, Path],
    tmp_path: Path,
) -> None:
    harmed = flipped(packages[package], tmp_path, kind, parameter, bit)
    faults = compare_weights(harmed, packages["16-float32"])
    assert [(found.kind, found.elements) for found in faults] == [(fault, 1)]


def test_a_flipped_sign_is_found(packages: dict[str, Path], tmp_path: Path) -> None:
    harmed = flipped(packages["16-float32"], tmp_path, "const", "val", 31)
    (fault,) = compare_weights(harmed, packages["16-float32"])
    assert fault.elements == 1
    assert np.isfinite(float(fault.reason.rsplit(" ", 1)[1]))


def test_pruning_drops_the_smallest_weights(packages: dict[str, Path], tmp_path: Path) -> None:
    pruned = packages["16-float32-pruned"]
    harmed = flipped(pruned, tmp_path, "constexpr_sparse_to_dense", "nonzero_data", 30)
    assert compare_weights(pruned, harmed)


def other_op(specification: Any) -> None:
    ops_of(specification, "tanh")[0].type = "sigmoid"


def missing_op(specification: Any) -> None:
    ops = mil_block(specification).operations
    place = next(i for i, op in enumerate(ops) if op.type == "tanh")
    ops[place - 1].outputs[0].name = ops[place].outputs[0].name
    del ops[place]


def other_input(specification: Any) -> None:
    convolution, product = (ops_of(specification, kind)[0] for kind in ("conv", "mul"))
    product.inputs["x"].arguments[0].name = convolution.outputs[0].name


def constant_of_first_conv(specification: Any, parameter: str) -> Any:
    name = ops_of(specification, "conv")[0].inputs[parameter].arguments[0].name
    op = next(op for op in ops_of(specification, "const") if op.outputs[0].name == name)
    return op.attributes["val"].immediateValue.tensor


def other_stride(specification: Any) -> None:
    constant_of_first_conv(specification, "strides").ints.values[0] = 1


def other_padding(specification: Any) -> None:
    constant_of_first_conv(specification, "pad_type").strings.values[0] = "same"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (other_op, "graph"),
        (missing_op, "graph"),
        (other_input, "graph"),
        (other_stride, "value"),
        (other_padding, "value"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_another_graph_is_found(
    change: Callable[[Any], None], kind: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    harmed = shutil.copytree(packages["16-float32"], tmp_path / "harmed.mlpackage")
    in_mlpackage(change)(harmed)
    assert compare_weights(harmed, packages["16-float32"])[0].kind == kind
