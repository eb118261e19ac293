"""The reference runtime refuses everything that it does not support."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.runtimes import mil
from agecompact.runtimes.coreml import MODEL_FILE
from tests.agecompact.runtimes.mil.authoring import Author, ops_of
from tests.parity_tests.editing import in_mlpackage
from tests.weight_blobs import WEIGHT_FILE

X = np.array([[-1.0, 2.0, 3.0]], np.float32)
FIRST_SIZE = "type.tensorType.dimensions.0"
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


def assign(message: Any, field: str, value: Any) -> None:
    """Sets a field inside a protobuf message, such as `outputs.0.name`; a number may append."""
    *parents, last = field.split(".")
    for name in parents:
        if name.isdigit():
            message = message[int(name)] if int(name) < len(message) else message.add()
        else:
            message = getattr(message, name) if hasattr(message, name) else message[name]
    if isinstance(value, list):
        getattr(message, last)[:] = value
    else:
        setattr(message, last, value)


# Fields of an op, their new values, and the errors that these cause.
@pytest.mark.parametrize(
    ("kind", "field", "value", "error"),
    [
        ("relu", "type", "rolu", "no kernel for 'rolu'"),
        ("relu", "inputs.x.arguments.0.name", "missing", "'missing', which no earlier op writes"),
        ("relu", "inputs.x.arguments.1.name", "weight", "2 values for 'x'"),
        ("relu", "inputs.alpha.arguments.0.name", "weight", "'alpha' may change what the op does"),
        ("relu", "outputs.0.name", "z", "'y', which no op writes"),
        ("relu", "outputs.0.type.tensorType.dimensions.1.constant.size", 4, "declared fp32[1, 4]"),
        ("relu", "outputs.0.type.tensorType.dataType", 23, "declared int32[1, 3]"),
        # FLOAT8E5M2.
        ("relu", "outputs.0.type.tensorType.dataType", 41, "unknown element type"),
        ("relu", "outputs.0.type.listType.length.constant.size", 1, "a list, not a tensor"),
        ("relu", "blocks.0.inputs.0.name", "x", "nested blocks"),
        ("const", "type", "constexpr_magic", "compression that the reference runtime does not"),
        ("const", "attributes.val.blobFileValue.fileName", "no.bin", "no.bin, which is missing"),
        ("const", "attributes.val.blobFileValue.offset", 1 << 40, "not inside its"),
        ("const", f"attributes.val.{FIRST_SIZE}.constant.size", 1 << 62, "the program declares"),
        ("const", f"attributes.val.{FIRST_SIZE}.unknown.variadic", False, "no fixed shape"),
        ("const", f"outputs.0.{FIRST_SIZE}.constant.size", 9, "declared fp32[9, 3]"),
    ],
)
def test_an_op_with_an_unsupported_field_is_refused(
    kind: str, field: str, value: Any, error: str, package: Path
) -> None:
    in_mlpackage(lambda specification: assign(ops_of(specification, kind)[0], field, value))(
        package
    )
    assert error in error_of(package)


@pytest.mark.parametrize(
    ("name", "error"),
    [("mode", "'mode' may change what the op does"), ("x", "several values for 'x'")],
)
def test_an_unsupported_attribute_is_refused(name: str, error: str, package: Path) -> None:
    def change(specification: Any) -> None:
        attributes = ops_of(specification, "relu")[0].attributes
        attributes[name].CopyFrom(attributes["name"])

    in_mlpackage(change)(package)
    assert error in error_of(package)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("mlProgram.functions.main.opset", "CoreML99", "no block for its opset 'CoreML99'"),
        ("neuralNetwork.updateParams.shuffle.defaultValue", True, "not contain an ML Program"),
        ("description.input.0.name", "face", "have different inputs"),
        ("description.input.0.type.imageType.colorSpace", 20, "it is 0x0, but the program takes"),
        ("description.output.0.type.imageType.width", 3, "output 'y' is not a tensor"),
        ("description.output.0.name", "age", "have different outputs"),
        ("description.output.1.name", "age", "have different outputs"),
        ("description.output.0.type.multiArrayType.dataType", 65552, "description of 'y'"),
        ("description.input.0.type.multiArrayType.dataType", 131104, "description of 'x'"),
        ("description.input.0.type.multiArrayType.shape", [1, 4], "description of 'x'"),
        ("description.input.0.type.multiArrayType.shape", [3], "description of 'x'"),
        ("description.state.0.name", "cache", "does not support a state"),
        ("specificationVersion", 6, "need specification version 7"),
    ],
)
def test_an_unsupported_specification_is_refused(
    field: str, value: Any, error: str, package: Path
) -> None:
    in_mlpackage(lambda specification: assign(specification, field, value))(package)
    assert error in error_of(package)


def test_a_package_without_a_main_function_is_refused(package: Path) -> None:
    in_mlpackage(lambda specification: specification.mlProgram.functions.clear())(package)
    assert "no function 'main'" in error_of(package)


def test_an_unknown_opset_is_refused(tmp_path: Path) -> None:
    author = Author("CoreML99")
    author.output(author.input("x", (1, 3)))
    assert "does not support opset 'CoreML99'" in error_of(author.save(tmp_path / "a.mlpackage"))


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
