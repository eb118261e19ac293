"""Faults that users of such tools meet, planted in good artefacts: each must fail the gate.

All faults of one model lie in one build, so that PyTorch is asked once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from agecompact.artifacts import manifest
from parity_tests.results import Result
from tests.support import BuildOf, verdicts_on
from tests.weight_blobs import WEIGHT_FILE, blobs

Fault = Callable[[bytes], bytes]
Verdicts = dict[str, Result]


def exchanged(old: str, new: str) -> Fault:
    """Exchanges text of the metadata for text of the same length, so that no offset moves."""

    def plant(content: bytes) -> bytes:
        assert len(old) == len(new)
        assert content.count(old.encode()) == 1
        return content.replace(old.encode(), new.encode())

    return plant


def in_onnx(change: Callable[[onnx.GraphProto], None]) -> Fault:
    def plant(content: bytes) -> bytes:
        model = onnx.load_from_string(content)
        change(model.graph)
        result: bytes = model.SerializeToString()
        return result

    return plant


def in_first_conv(change: Callable[[np.ndarray], None]) -> Fault:
    """Changes the weights of an ONNX file's first convolution, OIHW."""

    def edit(graph: onnx.GraphProto) -> None:
        node = next(n for n in graph.node if n.op_type == "Conv")
        stored = next(i for i in graph.initializer if i.name == node.input[1])
        values = numpy_helper.to_array(stored).copy()
        change(values)
        stored.CopyFrom(numpy_helper.from_array(values, stored.name))

    return in_onnx(edit)


def in_tflite_conv(change: Callable[[np.ndarray], None]) -> Fault:
    """Changes, in place, the weights of a TFLite file's first convolution, OHWI."""

    def plant(content: bytes) -> bytes:
        from ai_edge_litert import schema_py_generated as schema

        harmed = bytearray(content)
        model: Any = schema.Model.GetRootAsModel(harmed, 0)
        graph = model.Subgraphs(0)
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            code = model.OperatorCodes(op.OpcodeIndex()).BuiltinCode()
            if code == schema.BuiltinOperator.CONV_2D:
                tensor = graph.Tensors(op.Inputs(1))
                data = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.float32)
                change(data.reshape(tensor.ShapeAsNumpy()))
                return bytes(harmed)
        raise AssertionError("no convolution")

    return plant


def perturb(weights: np.ndarray) -> None:
    weights.flat[np.abs(weights).argmax()] *= 1.05


def spoil(weights: np.ndarray) -> None:
    weights.flat[0] = np.nan


def swap_channels_of(axis: int) -> Callable[[np.ndarray], None]:
    def swap(weights: np.ndarray) -> None:
        weights[...] = np.flip(weights, axis).copy()

    return swap


def silence(graph: onnx.GraphProto) -> None:
    """Zeroes every Linear: the answer no longer depends on the face."""
    for stored in graph.initializer:
        if len(stored.dims) == 2:
            zeros = np.zeros(tuple(stored.dims), np.float32)
            stored.CopyFrom(numpy_helper.from_array(zeros, stored.name))


def rename_output(graph: onnx.GraphProto) -> None:
    old = graph.output[0].name
    graph.output[0].name = "years"
    for node in graph.node:
        node.output[:] = ["years" if name == old else name for name in node.output]


def rename_input(graph: onnx.GraphProto) -> None:
    old = graph.input[0].name
    graph.input[0].name = "picture"
    for node in graph.node:
        node.input[:] = ["picture" if name == old else name for name in node.input]


def _behind_the_answer(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Puts a node between the answer and the output of its name; it reads `inner`."""
    name = graph.output[0].name
    for each in graph.node:
        each.output[:] = ["inner" if output == name else output for output in each.output]
    node.output[:] = [name]
    graph.node.append(node)


def answer_twice(graph: onnx.GraphProto) -> None:
    _behind_the_answer(graph, onnx.helper.make_node("Concat", ["inner", "inner"], [""], axis=1))
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2


def answer_in_half(graph: onnx.GraphProto) -> None:
    """As a converter that makes everything float16 does; above 64 years it steps by 0.0625."""
    half_type = onnx.TensorProto.FLOAT16
    _behind_the_answer(graph, onnx.helper.make_node("Cast", ["inner"], [""], to=half_type))
    graph.output[0].type.tensor_type.elem_type = half_type


def reorder_inputs(graph: onnx.GraphProto) -> None:
    """As a converter that sorts inputs by name: names still bind, positions no longer do."""
    inputs = sorted((i.SerializeToString() for i in graph.input), reverse=True)
    del graph.input[:]
    graph.input.extend(onnx.ValueInfoProto.FromString(each) for each in inputs)


def unheard_of(graph: onnx.GraphProto) -> None:
    graph.node[3].op_type = "UnheardOf"


def older_opset(content: bytes) -> bytes:
    """As an exporter that falls back in silence."""
    model = onnx.load_from_string(content)
    model.opset_import[0].version = 17
    result: bytes = model.SerializeToString()
    return result


def touched(content: bytes) -> bytes:
    """A change that no answer shows."""
    model = onnx.load_from_string(content)
    model.doc_string = "by another hand"
    result: bytes = model.SerializeToString()
    return result


def in_mil(change: Callable[[Any], None]) -> Fault:
    """Changes the operations of a package's program."""

    def plant(content: bytes) -> bytes:
        from agecompact.runtimes import coreml

        specification = coreml.model_proto().Model.FromString(content)
        main = specification.mlProgram.functions["main"]
        change(main.block_specializations[main.opset].operations)
        result: bytes = specification.SerializeToString()
        return result

    return plant


def unheard_of_in_mil(operations: Any) -> None:
    next(op for op in operations if op.type == "conv").type = "unheard_of"


def other_pool(operations: Any) -> None:
    """Means for maxima, as a converter may read a pool."""
    pool = next(op for op in operations if op.type == "max_pool")
    pool.type = "avg_pool"
    pads = next(
        op
        for op in operations
        if op.type == "const"
        and op.outputs[0].type.HasField("tensorType")
        and "ceil_mode" in op.outputs[0].name
    )
    argument = pool.inputs["exclude_padding_from_average"].arguments.add()
    argument.name = pads.outputs[0].name


def in_largest_blob(change: Callable[[np.ndarray], None]) -> Fault:
    """Changes the largest tensor of a weight file."""

    def fault(content: bytes) -> bytes:
        changed = bytearray(content)
        change(max(blobs(content), key=lambda blob: blob.bytes).within(changed))
        return bytes(changed)

    return fault


def scale(values: np.ndarray) -> None:
    values *= np.float32(1.05)


def to_nan(values: np.ndarray) -> None:
    values[0] = np.nan


def flip_a_bit(values: np.ndarray) -> None:
    """The last bit of the last weight's mantissa, which no answer shows."""
    values.view(np.uint32)[-1] ^= 1


def exchange_inputs(one: str, other: str) -> Callable[[onnx.GraphProto], None]:
    """As a converter that binds by position does: the names stay, what they feed is exchanged."""

    def exchange(graph: onnx.GraphProto) -> None:
        new = {one: other, other: one}
        for node in graph.node:
            node.input[:] = [new.get(name, name) for name in node.input]

    return exchange


def strip_metadata(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    result: bytes = model.SerializeToString()
    return result


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


BGR_SAID_RGB = exchanged('"color_order":"BGR"', '"color_order":"RGB"')
RGB_SAID_BGR = exchanged('"color_order":"RGB"', '"color_order":"BGR"')
SAID_HALF = exchanged('"precision":"float32"', '"precision":"float16"')
SCALE_OF_1 = exchanged('"value_range":[0.0,255.0]', '"value_range":[0.0,  1.0]')
SCALE_OF_255 = exchanged('"value_range":[0.0,1.0]', '"value_range":[0.0,255]')
BOXES_EXCHANGED = exchanged('"left":0.12', '"left":0.24')

MODEL_FILE = "Data/com.apple.CoreML/model.mlmodel"


def other_weights(content: bytes) -> bytes:
    marker = b'"weights_sha256":"'
    at = content.index(marker) + len(marker)
    return content[:at] + bytes(64 * [ord("0")]) + content[at + 64 :]


# model, format, what is wrong: the fault and the kind of failure that must be told.
FAULTS: dict[tuple[str, str, str], tuple[Fault, str]] = {
    ("ssrnet", "onnx", "none"): (bytes, ""),
    ("ssrnet", "onnx", "colours-in-contract"): (BGR_SAID_RGB, "mismatch"),
    ("ssrnet", "onnx", "colours-in-graph"): (in_first_conv(swap_channels_of(1)), "mismatch"),
    ("ssrnet", "onnx", "scale"): (SCALE_OF_1, "mismatch"),
    ("ssrnet", "onnx", "perturbed-weight"): (in_first_conv(perturb), "mismatch"),
    ("ssrnet", "onnx", "nan-weight"): (in_first_conv(spoil), "not-finite"),
    ("ssrnet", "onnx", "constant"): (in_onnx(silence), "degenerate"),
    ("ssrnet", "onnx", "renamed-output"): (in_onnx(rename_output), "names"),
    ("ssrnet", "onnx", "renamed-input"): (in_onnx(rename_input), "names"),
    ("ssrnet", "onnx", "two-answers"): (in_onnx(answer_twice), "shapes"),
    ("ssrnet", "onnx", "half-answer"): (in_onnx(answer_in_half), "dtypes"),
    ("ssrnet", "onnx", "opset"): (older_opset, "conversion"),
    ("ssrnet", "onnx", "precision"): (SAID_HALF, "metadata"),
    ("ssrnet", "onnx", "other-weights"): (other_weights, "metadata"),
    ("ssrnet", "onnx", "touched"): (touched, "integrity"),
    ("ssrnet", "onnx", "no-such-op"): (in_onnx(unheard_of), "load"),
    ("ssrnet", "onnx", "no-metadata"): (strip_metadata, "metadata"),
    ("ssrnet", "onnx", "truncated"): (half, "load"),
    ("ssrnet", "onnx", "text"): (lambda _: b"no model\n", "load"),
    ("ssrnet", "tflite", "none"): (bytes, ""),
    ("ssrnet", "tflite", "colours-in-contract"): (BGR_SAID_RGB, "mismatch"),
    ("ssrnet", "tflite", "colours-in-graph"): (in_tflite_conv(swap_channels_of(3)), "mismatch"),
    ("ssrnet", "tflite", "scale"): (SCALE_OF_1, "mismatch"),
    ("ssrnet", "tflite", "perturbed-weight"): (in_tflite_conv(perturb), "mismatch"),
    ("ssrnet", "tflite", "nan-weight"): (in_tflite_conv(spoil), "not-finite"),
    ("ssrnet", "tflite", "truncated"): (half, "load"),
    ("ssrnet", "tflite", "text"): (lambda _: b"no model\n", "load"),
    ("ssrnet", "mlpackage", "none"): (bytes, ""),
    ("ssrnet", "mlpackage", "truncated"): (half, "load"),
    ("ssrnet", "mlpackage", "text"): (lambda _: b"no model\n", "load"),
    ("ssrnet", "mlpackage", "weights-truncated"): (half, "load"),
    ("ssrnet", "mlpackage", "weights-tampered"): (in_largest_blob(scale), "mismatch"),
    ("ssrnet", "mlpackage", "weights-nan"): (in_largest_blob(to_nan), "not-finite"),
    ("ssrnet", "mlpackage", "weights-bit"): (in_largest_blob(flip_a_bit), "weights"),
    ("ssrnet", "mlpackage", "no-such-op"): (in_mil(unheard_of_in_mil), "load"),
    ("ssrnet", "mlpackage", "colours-in-contract"): (BGR_SAID_RGB, "mismatch"),
    ("ssrnet", "mlpackage", "pool"): (in_mil(other_pool), "mismatch"),
    ("c3ae", "onnx", "none"): (bytes, ""),
    ("c3ae", "onnx", "crops-in-graph"): (in_onnx(exchange_inputs("outer", "inner")), "mismatch"),
    ("c3ae", "onnx", "near-crops-in-graph"): (
        in_onnx(exchange_inputs("middle", "inner")),
        "mismatch",
    ),
    ("c3ae", "onnx", "order"): (in_onnx(reorder_inputs), "order"),
    ("c3ae", "onnx", "crops-in-contract"): (BOXES_EXCHANGED, "metadata"),
    ("c3ae", "onnx", "colours-in-graph"): (in_first_conv(swap_channels_of(1)), "mismatch"),
    ("c3ae", "onnx", "scale"): (SCALE_OF_1, "mismatch"),
    ("c3ae", "tflite", "none"): (bytes, ""),
    ("c3ae", "tflite", "perturbed-weight"): (in_tflite_conv(perturb), "mismatch"),
    ("mobileagenet", "onnx", "none"): (bytes, ""),
    ("mobileagenet", "onnx", "colours-in-contract"): (RGB_SAID_BGR, "mismatch"),
    ("mobileagenet", "onnx", "scale"): (SCALE_OF_255, "mismatch"),
    ("mobileagenet", "onnx", "perturbed-weight"): (in_first_conv(perturb), "mismatch"),
}


@pytest.fixture(scope="module")
def verdicts(
    build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Verdicts]:
    known: dict[str, Verdicts] = {}

    def judge(model_id: str) -> Verdicts:
        if model_id not in known:
            faulty = _plant(build_of(model_id), tmp_path_factory.mktemp(model_id))
            known[model_id] = _worst_first(verdicts_on(faulty))
        return known[model_id]

    return judge


def _worst_first(results: Sequence[Result]) -> Verdicts:
    """By artefact, the failure of the runtime that has one; what is skipped tells nothing."""
    told: Verdicts = {}
    for result in results:
        known = told.get(result.artifact)
        if result.status != "skipped" and (known is None or known.status == "passed"):
            told[result.artifact] = result
    return told


def _plant(good: manifest.Build, folder: Path) -> manifest.Build:
    """A build of one artefact a fault."""
    model_id = good.manifest.model
    entries = []
    for (of, suffix, name), (plant, _) in FAULTS.items():
        if of != model_id:
            continue
        source = good.folder / f"{model_id}_float32.{suffix}"
        entry = next(e for e in good.manifest.artifacts if e.file == source.name)
        target = folder / f"{name}.{suffix}"
        if source.is_dir():
            shutil.copytree(source, target)
            inside = WEIGHT_FILE if name.startswith("weights") else MODEL_FILE
            source, target = source / inside, target / inside
        target.write_bytes(plant(source.read_bytes()))
        entries.append(replace(entry, file=f"{name}.{suffix}"))
    (folder / good.manifest.weights).write_bytes(good.weights.read_bytes())
    manifest.write(folder, replace(good.manifest, artifacts=tuple(entries)))
    return manifest.read_builds(folder)[0]


@pytest.mark.parametrize("fault", FAULTS, ids="-".join)
def test_a_planted_fault_is_told(
    fault: tuple[str, str, str], verdicts: Callable[[str], Verdicts]
) -> None:
    model_id, suffix, name = fault
    result = verdicts(model_id)[f"{name}.{suffix}"]
    kind = FAULTS[fault][1]
    assert (result.status, result.kind) == (("failed", kind) if kind else ("passed", None))
    if kind == "mismatch":
        assert result.max_years is not None
        assert result.max_years > result.tolerance.max
