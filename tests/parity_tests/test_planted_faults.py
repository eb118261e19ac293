"""Faults that users of such tools meet, planted in good artefacts: each must fail the gate.

All faults of one model are in one build, so that PyTorch runs once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from parity_tests.results import Result
from tests.marks import by_model
from tests.parity_tests.editing import (
    ArrayEdit,
    Edit,
    edited_build,
    in_bytes,
    in_largest_blob,
    in_mlpackage,
    in_onnx,
    in_tflite,
    in_tflite_metadata,
    initializer,
    mil_block,
    renamed,
    renamed_port,
    reversed_channels,
    tflite_weights,
    truncated,
    unchanged,
)
from tests.parity_tests.output_faults import at_least, at_most, bump, onnx_output, tflite_output
from tests.support import BuildOf, verdicts_on
from tests.weight_blobs import WEIGHT_FILE

Results = dict[str, Result]


def replaced(old: str, new: str) -> Edit:
    """Replaces text of the metadata by text of the same length, so that no offset changes."""

    def change(content: bytes) -> bytes:
        assert len(old) == len(new)
        assert content.count(old.encode()) == 1
        return content.replace(old.encode(), new.encode())

    in_text = in_tflite_metadata(lambda text: text.replace(old, new))
    return lambda path: (in_text if path.suffix == ".tflite" else in_bytes(change))(path)


def in_first_conv(change: ArrayEdit) -> Edit:
    return in_onnx(initializer("Conv", change))


def in_tflite_conv(change: ArrayEdit) -> Edit:
    return in_tflite(tflite_weights(0, change))


def perturb(weights: np.ndarray) -> None:
    weights.flat[np.abs(weights).argmax()] *= 1.05


def to_nan(weights: np.ndarray) -> None:
    weights.flat[0] = np.nan


def scale(weights: np.ndarray) -> None:
    weights *= np.float32(1.05)


def flip_a_bit(weights: np.ndarray) -> None:
    """The last bit of the last weight's mantissa, which the outputs do not show."""
    weights.view(np.uint32)[-1] ^= 1


def silence(model: onnx.ModelProto) -> None:
    """Zeroes every Linear: the output no longer depends on the face."""
    for stored in model.graph.initializer:
        if len(stored.dims) == 2:
            zeros = np.zeros(tuple(stored.dims), np.float32)
            stored.CopyFrom(numpy_helper.from_array(zeros, stored.name))


def _append(model: onnx.ModelProto, op: str, inputs: int, **attributes: Any) -> None:
    """Puts an op between the output and its name."""
    name = model.graph.output[0].name
    renamed(model, {name: "inner"})
    model.graph.node.append(helper.make_node(op, ["inner"] * inputs, [name], **attributes))


def output_twice(model: onnx.ModelProto) -> None:
    _append(model, "Concat", 2, axis=1)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2


def output_in_half(model: onnx.ModelProto) -> None:
    """As by a converter that makes everything float16; above 64 years it steps by 0.0625."""
    _append(model, "Cast", 1, to=onnx.TensorProto.FLOAT16)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def reorder_inputs(model: onnx.ModelProto) -> None:
    """As by a converter that sorts inputs by name: names still bind, positions no longer do."""
    inputs = sorted((i.SerializeToString() for i in model.graph.input), reverse=True)
    del model.graph.input[:]
    model.graph.input.extend(onnx.ValueInfoProto.FromString(each) for each in inputs)


def swap_inputs(one: str, other: str) -> Edit:
    """As by a converter that binds by position: the names stay, what they feed is swapped."""
    return in_onnx(lambda model: renamed(model, {one: other, other: one}, outputs=False))


def older_opset(model: onnx.ModelProto) -> None:
    """As by an exporter that falls back silently."""
    model.opset_import[0].version = 17


def unknown_op(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "UnheardOf"


def unknown_mil_op(specification: Any) -> None:
    operations = mil_block(specification).operations
    next(op for op in operations if op.type == "conv").type = "unheard_of"


def other_pool(specification: Any) -> None:
    """Mean for max, as a converter may misread a pool."""
    operations = mil_block(specification).operations
    pool = next(op for op in operations if op.type == "max_pool")
    pool.type = "avg_pool"
    flag = next(
        op
        for op in operations
        if op.type == "const"
        and op.outputs[0].type.HasField("tensorType")
        and "ceil_mode" in op.outputs[0].name
    )
    argument = pool.inputs["exclude_padding_from_average"].arguments.add()
    argument.name = flag.outputs[0].name


def other_source(content: bytes) -> bytes:
    marker = b'"weights_sha256":"'
    at = content.index(marker) + len(marker)
    return content[:at] + b"0" * 64 + content[at + 64 :]


def other_licence(specification: Any) -> None:
    specification.description.metadata.license = "MIT"


def other_text(specification: Any) -> None:
    """Xcode says RGB, and the contract BGR."""
    (face,) = specification.description.input
    assert "BGR" in face.shortDescription
    face.shortDescription = face.shortDescription.replace("BGR", "RGB")


BGR_AS_RGB = replaced('"color_order":"BGR"', '"color_order":"RGB"')
RGB_AS_BGR = replaced('"color_order":"RGB"', '"color_order":"BGR"')
TEXT = in_bytes(lambda _: b"no model\n")
FULL_AS_HALF = replaced('"precision":"float32"', '"precision":"float16"')
RANGE_OF_1 = replaced('"value_range":[0.0,255.0]', '"value_range":[0.0,  1.0]')
RANGE_OF_255 = replaced('"value_range":[0.0,1.0]', '"value_range":[0.0,255]')
OTHER_BOX = replaced('"left":0.12', '"left":0.24')
NO_METADATA = in_onnx(lambda model: model.ClearField("metadata_props"))
# A change that the outputs do not show.
TOUCHED = in_onnx(lambda model: setattr(model, "doc_string", "by somebody else"))

# By model, suffix and name: the fault, and the kind of failure that must be reported.
FAULTS: dict[tuple[str, str, str], tuple[Edit, str]] = {
    ("ssrnet", "onnx", "none"): (unchanged, ""),
    ("ssrnet", "onnx", "colours-in-contract"): (BGR_AS_RGB, "mismatch"),
    ("ssrnet", "onnx", "colours-in-graph"): (in_first_conv(reversed_channels(1)), "mismatch"),
    ("ssrnet", "onnx", "scale"): (RANGE_OF_1, "degenerate"),
    ("ssrnet", "onnx", "perturbed-weight"): (in_first_conv(perturb), "mismatch"),
    ("ssrnet", "onnx", "nan-weight"): (in_first_conv(to_nan), "not-finite"),
    ("ssrnet", "onnx", "constant"): (in_onnx(silence), "degenerate"),
    ("ssrnet", "onnx", "renamed-output"): (in_onnx(renamed_port("output", "years")), "names"),
    ("ssrnet", "onnx", "renamed-input"): (in_onnx(renamed_port("input", "picture")), "names"),
    ("ssrnet", "onnx", "two-outputs"): (in_onnx(output_twice), "shapes"),
    ("ssrnet", "onnx", "half-output"): (in_onnx(output_in_half), "dtypes"),
    ("ssrnet", "onnx", "opset"): (in_onnx(older_opset), "conversion"),
    ("ssrnet", "onnx", "precision"): (FULL_AS_HALF, "metadata"),
    ("ssrnet", "onnx", "other-weights"): (in_bytes(other_source), "metadata"),
    ("ssrnet", "onnx", "touched"): (TOUCHED, "integrity"),
    ("ssrnet", "onnx", "no-such-op"): (in_onnx(unknown_op), "load"),
    ("ssrnet", "onnx", "no-metadata"): (NO_METADATA, "metadata"),
    ("ssrnet", "onnx", "truncated"): (truncated(), "load"),
    ("ssrnet", "onnx", "text"): (TEXT, "load"),
    ("ssrnet", "tflite", "none"): (unchanged, ""),
    ("ssrnet", "tflite", "colours-in-contract"): (BGR_AS_RGB, "mismatch"),
    ("ssrnet", "tflite", "colours-in-graph"): (in_tflite_conv(reversed_channels(3)), "mismatch"),
    ("ssrnet", "tflite", "scale"): (RANGE_OF_1, "degenerate"),
    ("ssrnet", "tflite", "perturbed-weight"): (in_tflite_conv(perturb), "mismatch"),
    ("ssrnet", "tflite", "nan-weight"): (in_tflite_conv(to_nan), "not-finite"),
    ("ssrnet", "tflite", "truncated"): (truncated(), "load"),
    ("ssrnet", "tflite", "text"): (TEXT, "load"),
    ("ssrnet", "mlpackage", "none"): (unchanged, ""),
    ("ssrnet", "mlpackage", "truncated"): (truncated(), "load"),
    ("ssrnet", "mlpackage", "text"): (TEXT, "load"),
    ("ssrnet", "mlpackage", "weights-truncated"): (truncated(WEIGHT_FILE), "load"),
    ("ssrnet", "mlpackage", "weights-tampered"): (in_largest_blob(scale), "mismatch"),
    ("ssrnet", "mlpackage", "weights-nan"): (in_largest_blob(to_nan), "not-finite"),
    ("ssrnet", "mlpackage", "weights-bit"): (in_largest_blob(flip_a_bit), "weights"),
    ("ssrnet", "mlpackage", "no-such-op"): (in_mlpackage(unknown_mil_op), "load"),
    ("ssrnet", "mlpackage", "colours-in-contract"): (BGR_AS_RGB, "mismatch"),
    ("ssrnet", "mlpackage", "licence"): (in_mlpackage(other_licence), "metadata"),
    ("ssrnet", "mlpackage", "text-for-people"): (in_mlpackage(other_text), "metadata"),
    ("ssrnet", "mlpackage", "pool"): (in_mlpackage(other_pool), "mismatch"),
    ("c3ae", "onnx", "none"): (unchanged, ""),
    ("c3ae", "onnx", "crops-in-graph"): (swap_inputs("outer", "inner"), "mismatch"),
    ("c3ae", "onnx", "near-crops-in-graph"): (swap_inputs("middle", "inner"), "mismatch"),
    ("c3ae", "onnx", "order"): (in_onnx(reorder_inputs), "order"),
    ("c3ae", "onnx", "crops-in-contract"): (OTHER_BOX, "metadata"),
    ("c3ae", "onnx", "colours-in-graph"): (in_first_conv(reversed_channels(1)), "mismatch"),
    ("c3ae", "onnx", "scale"): (RANGE_OF_1, "degenerate"),
    ("c3ae", "tflite", "none"): (unchanged, ""),
    ("c3ae", "tflite", "perturbed-weight"): (in_tflite_conv(perturb), "mismatch"),
    # No fixed input has such an output.
    ("ssrnet", "onnx", "clamped-high"): (in_onnx(onnx_output(at_most(70.0))), "mismatch"),
    ("ssrnet", "tflite", "clamped-high"): (in_tflite(tflite_output(at_most(70.0))), "mismatch"),
    ("ssrnet", "onnx", "bump"): (in_onnx(onnx_output(bump(40.0, 45.0, 2.0))), "mismatch"),
    ("ssrnet", "tflite", "bump"): (in_tflite(tflite_output(bump(40.0, 45.0, 2.0))), "mismatch"),
    ("c3ae-plain", "onnx", "clamped-low"): (in_onnx(onnx_output(at_least(9.0))), "mismatch"),
    ("c3ae-plain", "tflite", "clamped-low"): (in_tflite(tflite_output(at_least(9.0))), "mismatch"),
    ("ssrnet-gender", "onnx", "clamped"): (in_onnx(onnx_output(at_most(0.75))), "mismatch"),
    ("ssrnet-gender", "tflite", "clamped"): (in_tflite(tflite_output(at_most(0.75))), "mismatch"),
    ("mobileagenet", "onnx", "none"): (unchanged, ""),
    ("mobileagenet", "onnx", "colours-in-contract"): (RGB_AS_BGR, "mismatch"),
    ("mobileagenet", "onnx", "scale"): (RANGE_OF_255, "degenerate"),
    ("mobileagenet", "onnx", "perturbed-weight"): (in_first_conv(perturb), "mismatch"),
}


@pytest.fixture(scope="module")
def results_of(
    build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Results]:
    @cache
    def check(model_id: str, format_: str) -> Results:
        edits = {
            f"{name}.{suffix}": (f"{model_id}_float32.{suffix}", edit)
            for (model, suffix, name), (edit, _) in FAULTS.items()
            if (model, suffix) == (model_id, format_)
        }
        folder = tmp_path_factory.mktemp(model_id)
        faulty = edited_build(build_of(model_id), folder, edits, rehash=False)
        # For each artefact the first failure; later entries replace earlier ones.
        ran = [r for r in reversed(verdicts_on(faulty)) if r.status != "skipped"]
        ran.sort(key=lambda result: result.status == "failed")
        return {result.artifact: result for result in ran}

    return check


@pytest.mark.parametrize(
    ("model_id", "suffix", "name"),
    # The verdicts on both formats are made by the same code.
    [
        *by_model(*(fault for fault in FAULTS if fault[1] == "onnx")),
        *(pytest.param(*f, marks=pytest.mark.slow) for f in FAULTS if f[1] != "onnx"),
    ],
)
def test_a_planted_fault_is_reported(
    model_id: str, suffix: str, name: str, results_of: Callable[[str, str], Results]
) -> None:
    result = results_of(model_id, suffix)[f"{name}.{suffix}"]
    kind = FAULTS[model_id, suffix, name][1]
    assert (result.status, result.kind) == (("failed", kind) if kind else ("passed", None))
    if kind == "mismatch":
        assert result.max_error is not None
        if result.max_error <= result.tolerance.max:
            assert result.searched_error is not None
            assert result.searched_error > result.tolerance.searched
