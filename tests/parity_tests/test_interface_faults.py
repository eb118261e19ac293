"""An artefact whose numbers are right and whose declared interface is wrong fails by its kind.

Off a Mac the reference runtime runs the program of a package, while an app binds by the
description; LiteRT binds by the signature, while an app may bind by position or by tensor name. All
faults are in one build whose manifest has the hashes of the faulty files, as a faulty converter
would write it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agecompact.artifacts import metadata
from agecompact.runtimes.coreml import model_proto
from parity_tests.results import Result
from tests.parity_tests.editing import (
    Edit,
    edited_build,
    in_mlpackage,
    in_onnx,
    in_tflite,
    mil_block,
    unchanged,
)
from tests.support import BuildOf, verdicts_on

MODEL = "c3ae"
FLOAT16, FLOAT32, INT32 = 65552, 65568, 131104
SpecificationEdit = Callable[[Any], None]


def sequence(*edits: SpecificationEdit) -> SpecificationEdit:
    def change(value: Any) -> None:
        for edit in edits:
            edit(value)

    return change


# Core ML: edits of a description leave the program as it is.


def input_shape(*shape: int) -> SpecificationEdit:
    def change(specification: Any) -> None:
        specification.description.input[1].type.multiArrayType.shape[:] = shape

    return change


def input_dtype(specification: Any) -> None:
    specification.description.input[1].type.multiArrayType.dataType = FLOAT16


def any_height(specification: Any) -> None:
    sides = specification.description.input[0].type.multiArrayType.shapeRange.sizeRanges
    for side in (1, 3, 64, 64):
        sides.add(lowerBound=side, upperBound=side)
    sides[2].upperBound = -1


def several_shapes(specification: Any) -> None:
    shapes = specification.description.input[0].type.multiArrayType.enumeratedShapes.shapes
    shapes.add(shape=[1, 3, 64, 64])
    shapes.add(shape=[2, 3, 64, 64])


def output_shape(specification: Any) -> None:
    specification.description.output[0].type.multiArrayType.shape[:] = [1]


def output_dtype(specification: Any) -> None:
    specification.description.output[0].type.multiArrayType.dataType = INT32


def output_as_text(specification: Any) -> None:
    specification.description.output[0].type.stringType.SetInParent()


def rename_described_output(specification: Any) -> None:
    specification.description.output[0].name = "years"


def rename_described_input(specification: Any) -> None:
    specification.description.input[2].name = "centre"


def drop_described_output(specification: Any) -> None:
    del specification.description.output[:]


def add_described_output(specification: Any) -> None:
    added = specification.description.output.add()
    added.CopyFrom(specification.description.output[0])
    added.name = "confidence"


def describe_output_twice(specification: Any) -> None:
    specification.description.output.add().CopyFrom(specification.description.output[0])


def add_program_output(specification: Any) -> None:
    """The description does not have it: Core ML refuses such a package."""
    block = mil_block(specification)
    block.outputs.append(block.operations[-2].outputs[0].name)


def add_output_everywhere(specification: Any) -> None:
    block = mil_block(specification)
    name = next(op for op in block.operations if op.type == "concat").outputs[0].name
    block.outputs.append(name)
    add_described_output(specification)
    specification.description.output[1].name = name


def reverse_described_inputs(specification: Any) -> None:
    inputs = [copy.deepcopy(each) for each in specification.description.input]
    del specification.description.input[:]
    specification.description.input.extend(reversed(inputs))


def reverse_program_inputs(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    inputs = [copy.deepcopy(each) for each in main.inputs]
    del main.inputs[:]
    main.inputs.extend(reversed(inputs))


def reverse_all_inputs(specification: Any) -> None:
    reverse_described_inputs(specification)
    reverse_program_inputs(specification)


def version(number: int) -> SpecificationEdit:
    return lambda specification: setattr(specification, "specificationVersion", number)


def opset(name: str) -> SpecificationEdit:
    def change(specification: Any) -> None:
        main = specification.mlProgram.functions["main"]
        block = copy.deepcopy(mil_block(specification))
        main.block_specializations.clear()
        main.block_specializations[name].CopyFrom(block)
        main.opset = name

    return change


def predicted_feature(name: str) -> SpecificationEdit:
    def change(specification: Any) -> None:
        specification.description.predictedFeatureName = name

    return change


def predicted_probabilities(specification: Any) -> None:
    specification.description.predictedProbabilitiesName = "age"


def optional_input(specification: Any) -> None:
    specification.description.input[1].type.isOptional = True


def default_value(specification: Any) -> None:
    specification.description.input[1].type.multiArrayType.floatDefaultValue = 127.0


def state(specification: Any) -> None:
    added = specification.description.state.add(name="cache")
    added.type.stateType.arrayType.shape.append(1)


def second_function(specification: Any) -> None:
    functions = specification.mlProgram.functions
    functions["embed"].CopyFrom(functions["main"])


def second_specialization(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    main.block_specializations["CoreML7"].CopyFrom(mil_block(specification))


def described_function(specification: Any) -> None:
    specification.description.functions.add(name="embed")


def training_input(specification: Any) -> None:
    added = specification.description.trainingInput.add()
    added.CopyFrom(specification.description.input[0])


def updatable(specification: Any) -> None:
    specification.isUpdatable = True


IMAGE_CONTRACT = {"dtype": "uint8", "layout": "NHWC", "color_order": "RGB"}


def as_images(specification: Any) -> None:
    """Inputs as of `export --input image`: the network takes BGR of 0..255 without a mean."""
    entries = specification.description.metadata.userDefined
    described = json.loads(entries[metadata.KEY])
    described["contract"].update(IMAGE_CONTRACT)
    entries[metadata.KEY] = json.dumps(described)
    colours = model_proto().FeatureTypes__pb2.ImageFeatureType.BGR
    for feature in specification.description.input:
        image = feature.type.imageType
        image.width = image.height = 64
        image.colorSpace = colours


def image(change: SpecificationEdit) -> Edit:
    return in_mlpackage(sequence(as_images, change))


def image_size(specification: Any) -> None:
    specification.description.input[1].type.imageType.height = 32


def image_sizes(specification: Any) -> None:
    sizes = specification.description.input[1].type.imageType.imageSizeRange
    sizes.widthRange.lowerBound, sizes.widthRange.upperBound = 64, 64
    sizes.heightRange.lowerBound, sizes.heightRange.upperBound = 32, 64


def image_colours(name: str) -> SpecificationEdit:
    def change(specification: Any) -> None:
        kinds = model_proto().FeatureTypes__pb2.ImageFeatureType
        specification.description.input[1].type.imageType.colorSpace = getattr(kinds, name)

    return change


def one_tensor(specification: Any) -> None:
    tensor = specification.description.input[1].type.multiArrayType
    tensor.shape[:] = [1, 3, 64, 64]
    tensor.dataType = FLOAT32


def one_image(specification: Any) -> None:
    one = specification.description.input[1].type.imageType
    one.width = one.height = 64
    one.colorSpace = model_proto().FeatureTypes__pb2.ImageFeatureType.BGR


def image_output(specification: Any) -> None:
    one = specification.description.output[0].type.imageType
    one.width = one.height = 1
    one.colorSpace = model_proto().FeatureTypes__pb2.ImageFeatureType.GRAYSCALE


# ONNX.


def inner_value(model: onnx.ModelProto) -> str:
    return next(node for node in model.graph.node if node.op_type == "Concat").output[0]


def extra_output(model: onnx.ModelProto) -> None:
    model.graph.output.add(name=inner_value(model))


def unused_input_with_default(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("flip", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(helper.make_tensor("flip", TensorProto.FLOAT, [1], [0.0]))


def unused_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("flip", TensorProto.FLOAT, [1]))


def default_input(model: onnx.ModelProto) -> None:
    """Whoever forgets to feed it gets an age, not an error."""
    grey = np.full((1, 3, 64, 64), 127, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(grey, "middle"))


def weights_as_inputs(model: onnx.ModelProto) -> None:
    """As files of IR version 3; a runtime cannot fold such weights, since a caller may set them."""
    for each in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(each.name, each.data_type, each.dims)
        )


def onnx_side(name: str, axis: int, **values: Any) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        port = next(v for v in (*model.graph.input, *model.graph.output) if v.name == name)
        side = port.type.tensor_type.shape.dim[axis]
        side.Clear()
        for field, value in values.items():
            setattr(side, field, value)
        model.graph.ClearField("value_info")

    return change


def no_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def flat_output(model: onnx.ModelProto) -> None:
    """One value as before, but no axis for the batch."""
    last = next(node for node in model.graph.node if "age" in node.output)
    last.output[0] = "inner"
    model.graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [1], [1]))
    model.graph.node.append(helper.make_node("Reshape", ["inner", "flat"], ["age"]))
    del model.graph.output[0].type.tensor_type.shape.dim[0]


def second_contract(model: onnx.ModelProto) -> None:
    """ONNX Runtime reads the last entry of a key, other readers the first."""
    described = json.loads(model.metadata_props[0].value)
    described["contract"]["color_order"] = "RGB"
    model.metadata_props.add(key=metadata.KEY, value=json.dumps(described))


def external_weights(path: Path) -> None:
    onnx.save(
        onnx.load_model(path),
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=0,
    )


# TFLite.


def signature_key(key: str) -> Callable[[Any], None]:
    return lambda model: setattr(model.signatureDefs[0], "signatureKey", key.encode())


def no_signature(model: Any) -> None:
    model.signatureDefs = []


def second_signature(change: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        second = copy.deepcopy(model.signatureDefs[0])
        second.signatureKey = b"predict"
        change(second, model)
        model.signatureDefs.append(second)

    return plant


def swap_bound_inputs(signature: Any, _: Any) -> None:
    one, other = signature.inputs[0], signature.inputs[2]
    one.tensorIndex, other.tensorIndex = other.tensorIndex, one.tensorIndex


def bind_inner_output(signature: Any, model: Any) -> None:
    signature.outputs[0].tensorIndex = int(model.subgraphs[0].operators[-1].inputs[0])


def rename_bound_output(signature: Any, _: Any) -> None:
    signature.outputs[0].name = b"years"


def bind_past_the_end(signature: Any, model: Any) -> None:
    signature.outputs[0].tensorIndex = len(model.subgraphs[0].tensors) + 9


def bind_missing_subgraph(signature: Any, _: Any) -> None:
    signature.subgraphIndex = 3


def drop_bound_input(signature: Any, _: Any) -> None:
    del signature.inputs[1]


def second_subgraph(model: Any) -> None:
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


def extra_graph_output(model: Any) -> None:
    """The signature does not have it; whoever binds by position gets a second buffer."""
    graph = model.subgraphs[0]
    graph.outputs = np.append(graph.outputs, graph.operators[-1].inputs[0]).astype(np.int32)


def extra_output_first(model: Any) -> None:
    extra_graph_output(model)
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1].copy()


def extra_tflite_output(model: Any) -> None:
    extra_graph_output(model)
    signature = model.signatureDefs[0]
    added = copy.deepcopy(signature.outputs[0])
    added.name, added.tensorIndex = b"features", int(model.subgraphs[0].outputs[1])
    signature.outputs.append(added)


def output_listed_twice(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.outputs = np.repeat(graph.outputs, 2)


def tensor(model: Any, name: bytes) -> Any:
    return next(t for t in model.subgraphs[0].tensors if t.name == name)


def rename_tensor(old: bytes, new: bytes) -> Callable[[Any], None]:
    return lambda model: setattr(tensor(model, old), "name", new)


def swap_tensor_names(model: Any) -> None:
    """The signature still binds the right tensors."""
    one, other = tensor(model, b"outer"), tensor(model, b"inner")
    one.name, other.name = other.name, one.name


def reverse_graph_inputs(model: Any) -> None:
    model.subgraphs[0].inputs = model.subgraphs[0].inputs[::-1].copy()


def open_axis(name: bytes, axis: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        found = tensor(model, name)
        found.shapeSignature = np.array(found.shape, np.int32)
        found.shapeSignature[axis] = -1

    return change


def task_metadata(model: Any) -> None:
    """Android's task library normalises by this entry, not by the contract."""
    added = copy.deepcopy(model.metadata[0])
    added.name = b"TFLITE_METADATA"
    model.metadata.append(added)


def second_tflite_contract(model: Any) -> None:
    model.metadata.append(copy.deepcopy(model.metadata[-1]))


# By artefact and name: the fault, and the kind of failure that must be reported.
FAULTS: dict[tuple[str, str], tuple[Edit, str]] = {
    ("float32.mlpackage", "none"): (unchanged, ""),
    ("float32.mlpackage", "images"): (in_mlpackage(as_images), ""),
    **{
        ("float32.mlpackage", name): (in_mlpackage(change), kind)
        for name, change, kind in (
            ("input-shape", input_shape(1, 3, 32, 32), "shapes"),
            ("input-batch", input_shape(2, 3, 64, 64), "shapes"),
            ("input-rank", input_shape(3, 64, 64), "shapes"),
            ("input-layout", input_shape(1, 64, 64, 3), "shapes"),
            ("input-without-shape", input_shape(), "shapes"),
            ("input-dtype", input_dtype, "dtypes"),
            ("any-height", any_height, "shapes"),
            ("several-shapes", several_shapes, "shapes"),
            ("output-shape", output_shape, "shapes"),
            ("output-dtype", output_dtype, "dtypes"),
            ("output-as-text", output_as_text, "dtypes"),
            ("output-as-image", image_output, "dtypes"),
            ("output-name", rename_described_output, "names"),
            ("input-name", rename_described_input, "names"),
            ("no-output", drop_described_output, "names"),
            ("extra-output", add_described_output, "names"),
            ("output-twice", describe_output_twice, "names"),
            ("extra-program-output", add_program_output, "names"),
            ("extra-output-in-both", add_output_everywhere, "names"),
            ("described-order", reverse_described_inputs, "order"),
            ("program-order", reverse_program_inputs, "order"),
            ("order-in-both", reverse_all_inputs, "order"),
            ("too-old", version(6), "load"),
            ("too-new", version(9), "conversion"),
            ("too-new-in-both", sequence(version(9), opset("CoreML8")), "conversion"),
            ("newer-ops", opset("CoreML8"), "load"),
            ("predicted-feature", predicted_feature("classLabel"), "interface"),
            ("predicted-output", predicted_feature("age"), "interface"),
            ("predicted-probabilities", predicted_probabilities, "interface"),
            ("optional-input", optional_input, "interface"),
            ("default-value", default_value, "interface"),
            ("state", state, "interface"),
            ("second-function", second_function, "interface"),
            ("second-block", second_specialization, "interface"),
            ("described-function", described_function, "interface"),
            ("training-input", training_input, "interface"),
            ("updatable", updatable, "interface"),
            ("an-image", one_image, "dtypes"),
        )
    },
    **{
        ("float32.mlpackage", f"images-{name}"): (image(change), kind)
        for name, change, kind in (
            ("size", image_size, "shapes"),
            ("sizes", image_sizes, "shapes"),
            ("rgb", image_colours("RGB"), "mismatch"),
            ("grey", image_colours("GRAYSCALE"), "dtypes"),
            ("no-colours", image_colours("INVALID_COLOR_SPACE"), "dtypes"),
            ("a-tensor", one_tensor, "dtypes"),
        )
    },
    ("float32.onnx", "none"): (unchanged, ""),
    ("float32.onnx", "external-weights"): (external_weights, "interface"),
    **{
        ("float32.onnx", name): (in_onnx(change), kind)
        for name, change, kind in (
            ("extra-output", extra_output, "names"),
            ("unused-input", unused_input, "names"),
            ("unused-input-with-default", unused_input_with_default, "names"),
            ("weights-as-inputs", weights_as_inputs, "names"),
            ("default-input", default_input, "interface"),
            ("any-batch", onnx_side("outer", 0, dim_param="batch"), "shapes"),
            ("two-at-once", onnx_side("outer", 0, dim_value=2), "shapes"),
            ("any-height", onnx_side("outer", 2, dim_param="h"), "shapes"),
            ("unknown-width", onnx_side("outer", 3), "shapes"),
            ("any-output", onnx_side("age", 0, dim_param="batch"), "shapes"),
            ("two-outputs-declared", onnx_side("age", 1, dim_value=2), "shapes"),
            ("no-output-shape", no_output_shape, "shapes"),
            ("flat-output", flat_output, "shapes"),
            ("second-contract", second_contract, "interface"),
        )
    },
    ("float32.tflite", "none"): (unchanged, ""),
    **{
        ("float32.tflite", name): (in_tflite(change), kind)
        for name, change, kind in (
            ("signature-key", signature_key("predict"), "interface"),
            ("no-signature", no_signature, "interface"),
            ("second-inputs-swapped", second_signature(swap_bound_inputs), "interface"),
            ("second-output-inside", second_signature(bind_inner_output), "interface"),
            ("second-output-name", second_signature(rename_bound_output), "interface"),
            ("second-past-the-end", second_signature(bind_past_the_end), "interface"),
            ("second-without-subgraph", second_signature(bind_missing_subgraph), "interface"),
            ("second-without-input", second_signature(drop_bound_input), "interface"),
            ("second-name", second_signature(lambda *_: None), ""),
            ("second-subgraph", second_subgraph, "interface"),
            ("extra-graph-output", extra_graph_output, "names"),
            ("extra-output-first", extra_output_first, "names"),
            ("extra-output", extra_tflite_output, "names"),
            ("output-twice", output_listed_twice, "names"),
            ("tensor-name", rename_tensor(b"middle", b"serving_default_middle:0"), "names"),
            ("output-tensor-name", rename_tensor(b"age", b"Identity"), "names"),
            ("tensor-names-swapped", swap_tensor_names, "order"),
            ("order", reverse_graph_inputs, "order"),
            ("any-batch", open_axis(b"outer", 0), "shapes"),
            ("any-height", open_axis(b"outer", 1), "shapes"),
            ("any-output", open_axis(b"age", 0), "shapes"),
            ("task-metadata", task_metadata, "interface"),
            ("second-contract", second_tflite_contract, "interface"),
        )
    },
}


@pytest.fixture(scope="module")
def results(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    edits = {
        f"{name}_{file}": (f"{MODEL}_{file}", edit) for (file, name), (edit, _) in FAULTS.items()
    }
    folder = tmp_path_factory.mktemp("interfaces")
    faulty = edited_build(build_of(MODEL), folder, edits, rehash=True, opsets=False)
    # In the usual runtime of each artefact on this machine.
    ran = [result for result in reversed(verdicts_on(faulty)) if result.status != "skipped"]
    return {result.artifact: result for result in ran}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[1]}-{fault[0]}")
def test_a_wrong_interface_fails_by_its_kind(
    fault: tuple[str, str], results: dict[str, Result]
) -> None:
    file, name = fault
    result = results[f"{name}_{file}"]
    kind = FAULTS[fault][1]
    assert (result.status, result.kind) == (("failed", kind) if kind else ("passed", None))
