"""The reference runtime refuses everything that it does not support."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.runtimes import mil
from agecompact.runtimes.coreml import MODEL_FILE
from tests.agecompact.runtimes.mil.authoring import Author, edited, mil_proto, ops_of
from tests.weight_blobs import WEIGHT_FILE

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
FILES = [str(MODEL_FILE), "Manifest.json", str(WEIGHT_FILE)]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """relu(x @ weight.T), with the weight in a blob."""
    author = Author()
    x = author.input("x", (1, 3))
    weight = author.constant(np.eye(3, dtype=np.float32) * 2, "weight", blob=True)
    product = author.op("linear", "fp32", (1, 3), "product", x=x, weight=weight)
    author.output(author.op("relu", "fp32", (1, 3), "y", x=product))
    return author.save(tmp_path / "good.mlpackage")


def error_of(path: Path, inputs: dict[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as error:
        mil.MIL.open_session(str(path), 1).infer({"x": X} if inputs is None else inputs)
    return str(error.value)


def test_the_unchanged_package_runs(package: Path) -> None:
    (output,) = mil.MIL.open_session(str(package), 1).infer({"x": X}).values()
    np.testing.assert_array_equal(output, [[0, 4, 6]])


# Fields of an op, as `assign` takes them, their new values, and the error that these cause.
ASSIGNMENTS = [
    ("relu", "type", "rolu", "no kernel for 'rolu'"),
    ("relu", "outputs.0.type.tensorType.dimensions.1.constant.size", 4, "declared fp32[1, 4]"),
    ("relu", "outputs.0.type.tensorType.dataType", 23, "declared int32[1, 3]"),
    ("relu", "inputs.x.arguments.0.name", "missing", "'missing', which no earlier op writes"),
    ("const", "type", "constexpr_magic", "compression that the reference runtime does not support"),
    ("const", "attributes.val.blobFileValue.fileName", "no.bin", "no.bin, which is missing"),
    ("const", "attributes.val.blobFileValue.offset", 1 << 40, "not inside its"),
    (
        "const",
        "attributes.val.type.tensorType.dimensions.0.constant.size",
        1 << 62,
        "the program declares",
    ),
    (
        "const",
        "attributes.val.type.tensorType.dimensions.0.unknown.variadic",
        False,
        "no fixed shape",
    ),
    (
        "const",
        "outputs.0.type.tensorType.dimensions.0.constant.size",
        9,
        "declared fp32[9, 3]",
    ),
]


def assign(message: Any, field: str, value: Any) -> None:
    """Sets a field inside a protobuf message, such as `outputs.0.name`."""
    *parents, last = field.split(".")
    for name in parents:
        if name.isdigit():
            message = message[int(name)]
        else:
            message = getattr(message, name) if hasattr(message, name) else message[name]
    setattr(message, last, value)


@pytest.mark.parametrize(("kind", "field", "value", "error"), ASSIGNMENTS)
def test_an_op_with_an_unsupported_field_is_refused(
    kind: str, field: str, value: Any, error: str, package: Path, tmp_path: Path
) -> None:
    def change(specification: Any) -> None:
        assign(ops_of(specification, kind)[0], field, value)

    assert error in error_of(edited(package, tmp_path, change))


def relu(specification: Any) -> Any:
    return ops_of(specification, "relu")[0]


def unknown_parameter(specification: Any) -> None:
    relu(specification).inputs["alpha"].arguments.add().name = "weight"


def unknown_attribute(specification: Any) -> None:
    attributes = relu(specification).attributes
    attributes["mode"].CopyFrom(attributes["name"])


def parameter_that_is_an_attribute_too(specification: Any) -> None:
    attributes = relu(specification).attributes
    attributes["x"].CopyFrom(attributes["name"])


def second_value(specification: Any) -> None:
    relu(specification).inputs["x"].arguments.add().name = "weight"


def unknown_type(specification: Any) -> None:
    number = mil_proto().DataType.Value("FLOAT8E5M2")
    relu(specification).outputs[0].type.tensorType.dataType = number


def list_output(specification: Any) -> None:
    relu(specification).outputs[0].type.listType.SetInParent()


def nested_block(specification: Any) -> None:
    relu(specification).blocks.add()


def missing_output(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    main.block_specializations[main.opset].outputs[0] = "missing"


def unknown_opset(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    main.block_specializations["CoreML99"].CopyFrom(main.block_specializations[main.opset])
    main.opset = "CoreML99"


def no_main(specification: Any) -> None:
    del specification.mlProgram.functions["main"]


def neural_network(specification: Any) -> None:
    specification.neuralNetwork.SetInParent()


def image_of_another_size(specification: Any) -> None:
    image = specification.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 5, 20


def other_input_in_the_description(specification: Any) -> None:
    specification.description.input[0].name = "face"


def image_output(specification: Any) -> None:
    specification.description.output[0].type.imageType.width = 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (unknown_parameter, "'alpha' may change what the op does"),
        (unknown_attribute, "'mode' may change what the op does"),
        (parameter_that_is_an_attribute_too, "several values for 'x'"),
        (second_value, "2 values for 'x'"),
        (unknown_type, "unknown element type"),
        (list_output, "a list, not a tensor"),
        (nested_block, "nested blocks"),
        (missing_output, "'missing', which no op writes"),
        (unknown_opset, "opset 'CoreML99'"),
        (no_main, "no function 'main'"),
        (neural_network, "does not contain an ML Program"),
        (image_of_another_size, "is 5x5"),
        (other_input_in_the_description, "have different inputs"),
        (image_output, "output 'y' is not a tensor"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_unsupported_package_is_refused(
    change: Callable[[Any], None], error: str, package: Path, tmp_path: Path
) -> None:
    assert error in error_of(edited(package, tmp_path, change))


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({}, "got none"),
        ({"visage": X}, "takes x"),
        ({"x": X, "y": X}, "got x, y"),
        ({"x": X.T}, "float32 of [3, 1]"),
        ({"x": X[0]}, "float32 of [3]"),
        ({"x": X.astype(np.float64)}, "got float64"),
        ({"x": X.astype(np.float16)}, "got float16"),
        ({"x": X.astype(np.int32)}, "got int32"),
    ],
    ids=["none", "other name", "one too many", "transposed", "flat", "float64", "float16", "int32"],
)
def test_an_input_of_another_name_type_or_shape_is_refused(
    inputs: dict[str, Any], error: str, package: Path
) -> None:
    assert error in error_of(package, inputs)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_package_is_refused(name: str, share: float, package: Path) -> None:
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[: int(len(content) * share)])
    assert error_of(package)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, package: Path) -> None:
    (package / name).unlink()
    assert Path(name).name in error_of(package)


def test_a_manifest_that_names_another_model_is_refused(package: Path) -> None:
    manifest = package / "Manifest.json"
    manifest.write_text(manifest.read_text().replace("model.mlmodel", "other.mlmodel"))
    assert "names 'com.apple.CoreML/other.mlmodel'" in error_of(package)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a Core ML package" in error_of(tmp_path / "gone.mlpackage")


@pytest.mark.parametrize(
    ("kind", "parameters", "error"),
    [
        ("add", {"y": np.ones((1, 4), np.float32)}, "op 'y' (add) cannot run"),
        ("leaky_relu", {}, "op 'y' (leaky_relu) lacks the required parameter 'alpha'"),
    ],
    ids=["shapes that do not fit", "missing parameter"],
)
def test_an_op_that_cannot_run_is_named(
    kind: str, parameters: dict[str, Any], error: str, tmp_path: Path
) -> None:
    author = Author()
    x = author.input("x", (1, 3))
    author.output(author.op(kind, "fp32", (1, 3), "y", x=x, **parameters))
    assert error in error_of(author.save(tmp_path / "a.mlpackage"))
