"""Faults in what a Core ML package tells an app: most are in the description alone.

Off a Mac the reference runtime runs the program, while an app binds by the description.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from agecompact.artifacts import metadata
from agecompact.runtimes.coreml import model_proto
from tests.parity_tests.editing import Edit, in_mlpackage, mil_block, unchanged

FLOAT16, FLOAT32, INT32 = 65552, 65568, 131104
SpecificationEdit = Callable[[Any], None]


def sequence(*edits: SpecificationEdit) -> SpecificationEdit:
    def change(value: Any) -> None:
        for edit in edits:
            edit(value)

    return change


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
        # It says how the tensor was made.
        feature.shortDescription = ""
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


# By name: the fault, and the kind of failure that must be reported; none if it must pass.
FAULTS: dict[str, tuple[Edit, str]] = {
    "none": (unchanged, ""),
    "images": (in_mlpackage(as_images), ""),
    "input-shape": (in_mlpackage(input_shape(1, 3, 32, 32)), "shapes"),
    "input-batch": (in_mlpackage(input_shape(2, 3, 64, 64)), "shapes"),
    "input-rank": (in_mlpackage(input_shape(3, 64, 64)), "shapes"),
    "input-layout": (in_mlpackage(input_shape(1, 64, 64, 3)), "shapes"),
    "input-without-shape": (in_mlpackage(input_shape()), "shapes"),
    "input-dtype": (in_mlpackage(input_dtype), "dtypes"),
    "any-height": (in_mlpackage(any_height), "shapes"),
    "several-shapes": (in_mlpackage(several_shapes), "shapes"),
    "output-shape": (in_mlpackage(output_shape), "shapes"),
    "output-dtype": (in_mlpackage(output_dtype), "dtypes"),
    "output-as-text": (in_mlpackage(output_as_text), "dtypes"),
    "output-as-image": (in_mlpackage(image_output), "dtypes"),
    "output-name": (in_mlpackage(rename_described_output), "names"),
    "input-name": (in_mlpackage(rename_described_input), "names"),
    "no-output": (in_mlpackage(drop_described_output), "names"),
    "extra-output": (in_mlpackage(add_described_output), "names"),
    "output-twice": (in_mlpackage(describe_output_twice), "names"),
    "extra-program-output": (in_mlpackage(add_program_output), "names"),
    "extra-output-in-both": (in_mlpackage(add_output_everywhere), "names"),
    "described-order": (in_mlpackage(reverse_described_inputs), "order"),
    "program-order": (in_mlpackage(reverse_program_inputs), "order"),
    "order-in-both": (in_mlpackage(reverse_all_inputs), "order"),
    "too-old": (in_mlpackage(version(6)), "load"),
    "too-new": (in_mlpackage(version(9)), "conversion"),
    "too-new-in-both": (in_mlpackage(sequence(version(9), opset("CoreML8"))), "conversion"),
    "newer-ops": (in_mlpackage(opset("CoreML8")), "load"),
    "predicted-feature": (in_mlpackage(predicted_feature("classLabel")), "interface"),
    "predicted-output": (in_mlpackage(predicted_feature("age")), "interface"),
    "predicted-probabilities": (in_mlpackage(predicted_probabilities), "interface"),
    "optional-input": (in_mlpackage(optional_input), "interface"),
    "default-value": (in_mlpackage(default_value), "interface"),
    "state": (in_mlpackage(state), "interface"),
    "second-function": (in_mlpackage(second_function), "interface"),
    "second-block": (in_mlpackage(second_specialization), "interface"),
    "described-function": (in_mlpackage(described_function), "interface"),
    "training-input": (in_mlpackage(training_input), "interface"),
    "updatable": (in_mlpackage(updatable), "interface"),
    "an-image": (in_mlpackage(one_image), "dtypes"),
    "images-size": (image(image_size), "shapes"),
    "images-sizes": (image(image_sizes), "shapes"),
    "images-rgb": (image(image_colours("RGB")), "mismatch"),
    "images-grey": (image(image_colours("GRAYSCALE")), "dtypes"),
    "images-no-colours": (image(image_colours("INVALID_COLOR_SPACE")), "dtypes"),
    "images-a-tensor": (image(one_tensor), "dtypes"),
}
