"""Nothing that the reference runtime does not understand passes in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.errors import UsageError
from agecompact.runtimes import mil
from agecompact.runtimes.coreml import MODEL_FILE
from tests.agecompact.runtimes.mil.authoring import Author, edited, mil_proto, operations

WEIGHTS = MODEL_FILE.parent / "weights" / "weight.bin"
X = np.array([[-1.0, 2.0, 3.0]], np.float32)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """relu(x @ weight.T), the weight in a blob."""
    author = Author()
    x = author.input("x", (1, 3))
    weight = author.constant(np.eye(3, dtype=np.float32) * 2, "weight", blob=True)
    product = author.op("linear", "fp32", (1, 3), "product", x=x, weight=weight)
    author.output(author.op("relu", "fp32", (1, 3), "y", x=product))
    return author.save(tmp_path / "good.mlpackage")


def refusal(path: Path, inputs: dict[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as error:
        mil.open_session(str(path), 1).infer({"x": X} if inputs is None else inputs)
    return str(error.value)


def test_as_written_it_runs(package: Path) -> None:
    (answer,) = mil.open_session(str(package), 1).infer({"x": X}).values()
    np.testing.assert_array_equal(answer, [[0, 4, 6]])


def the(specification: Any, kind: str) -> Any:
    return next(op for op in operations(specification) if op.type == kind)


def unknown_op(specification: Any) -> None:
    the(specification, "relu").type = "rolu"


def unknown_parameter(specification: Any) -> None:
    argument = the(specification, "relu").inputs["alpha"].arguments.add()
    argument.name = "weight"


def unknown_attribute(specification: Any) -> None:
    relu = the(specification, "relu")
    relu.attributes["mode"].CopyFrom(relu.attributes["name"])


def unknown_type(specification: Any) -> None:
    number = mil_proto().DataType.Value("FLOAT8E5M2")
    the(specification, "relu").outputs[0].type.tensorType.dataType = number


def other_shape(specification: Any) -> None:
    dimension = the(specification, "relu").outputs[0].type.tensorType.dimensions[1]
    dimension.constant.size = 4


def other_kind(specification: Any) -> None:
    the(specification, "relu").outputs[0].type.tensorType.dataType = 23


def no_such_value(specification: Any) -> None:
    the(specification, "relu").inputs["x"].arguments[0].name = "nowhere"


def no_such_output(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    main.block_specializations[main.opset].outputs[0] = "nowhere"


def no_such_blob_file(specification: Any) -> None:
    the(specification, "const").attributes["val"].blobFileValue.fileName = "@model_path/w/no.bin"


def blob_outside(specification: Any) -> None:
    the(specification, "const").attributes["val"].blobFileValue.offset = 1 << 40


def larger_constant(specification: Any) -> None:
    const = the(specification, "const")
    for type_ in (const.attributes["val"].type, const.outputs[0].type):
        type_.tensorType.dimensions[0].constant.size = 1 << 62


def constant_unlike_its_type(specification: Any) -> None:
    the(specification, "const").outputs[0].type.tensorType.dimensions[0].constant.size = 9


def open_constant(specification: Any) -> None:
    const = the(specification, "const")
    const.attributes["val"].type.tensorType.dimensions[0].unknown.variadic = False


def unknown_opset(specification: Any) -> None:
    main = specification.mlProgram.functions["main"]
    main.block_specializations["CoreML99"].CopyFrom(main.block_specializations[main.opset])
    main.opset = "CoreML99"


def no_main(specification: Any) -> None:
    del specification.mlProgram.functions["main"]


def nested(specification: Any) -> None:
    the(specification, "relu").blocks.add()


def neural_network(specification: Any) -> None:
    specification.neuralNetwork.SetInParent()


def unknown_expression(specification: Any) -> None:
    the(specification, "const").type = "constexpr_magic"


def picture_of_another_size(specification: Any) -> None:
    image = specification.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 5, 5, 20


def described_otherwise(specification: Any) -> None:
    specification.description.input[0].name = "face"


def picture_out(specification: Any) -> None:
    specification.description.output[0].type.imageType.width = 3


def a_list(specification: Any) -> None:
    the(specification, "relu").outputs[0].type.listType.SetInParent()


def second_value(specification: Any) -> None:
    the(specification, "relu").inputs["x"].arguments.add().name = "weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (unknown_op, "no kernel for 'rolu'"),
        (unknown_parameter, "'alpha' would change what the op does"),
        (unknown_attribute, "'mode' would change what the op does"),
        (unknown_type, "unknown element type"),
        (other_shape, "declared fp32[1, 4]"),
        (other_kind, "declared int32[1, 3]"),
        (no_such_value, "'nowhere', which nothing writes"),
        (no_such_output, "'nowhere', which nothing writes"),
        (no_such_blob_file, "no.bin, which is not there"),
        (blob_outside, "not inside its"),
        (larger_constant, "the program says"),
        (constant_unlike_its_type, "declared fp32[9, 3]"),
        (open_constant, "no fixed shape"),
        (unknown_opset, "opset 'CoreML99'"),
        (no_main, "no function 'main'"),
        (nested, "blocks of its own"),
        (neural_network, "no ML Program"),
        (unknown_expression, "does not know"),
        (picture_of_another_size, "is 5x5"),
        (described_otherwise, "take different inputs"),
        (picture_out, "output 'y' is no tensor"),
        (a_list, "a list, not a tensor"),
        (second_value, "2 values for 'x'"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_not_understood_is_refused(
    change: Callable[[Any], None], told: str, package: Path, tmp_path: Path
) -> None:
    assert told in refusal(edited(package, tmp_path, change))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "named nothing"),
        ({"visage": X}, "takes x"),
        ({"x": X, "y": X}, "named x, y"),
        ({"x": X.T}, "float32 of [3, 1]"),
        ({"x": X[0]}, "float32 of [3]"),
        ({"x": X.astype(np.float64)}, "it is float64"),
        ({"x": X.astype(np.float16)}, "it is float16"),
        ({"x": X.astype(np.int32)}, "it is int32"),
    ],
    ids=["none", "other name", "one too many", "turned", "flat", "float64", "float16", "int32"],
)
def test_an_input_that_does_not_fit_is_refused(
    inputs: dict[str, Any], told: str, package: Path
) -> None:
    assert told in refusal(package, inputs)


@pytest.mark.parametrize("name", [str(MODEL_FILE), "Manifest.json", str(WEIGHTS)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_package_is_refused(name: str, share: float, package: Path) -> None:
    file = package / name
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert refusal(package)


@pytest.mark.parametrize("name", [str(MODEL_FILE), "Manifest.json", str(WEIGHTS)])
def test_a_missing_file_is_told(name: str, package: Path) -> None:
    (package / name).unlink()
    assert Path(name).name in refusal(package)


def test_a_manifest_of_another_model_is_refused(package: Path) -> None:
    manifest = package / "Manifest.json"
    manifest.write_text(manifest.read_text().replace("model.mlmodel", "other.mlmodel"))
    assert "names 'com.apple.CoreML/other.mlmodel'" in refusal(package)


def test_no_folder_is_no_package(tmp_path: Path) -> None:
    assert "no Core ML package" in refusal(tmp_path / "gone.mlpackage")


def test_an_op_whose_shapes_do_not_fit_is_named(tmp_path: Path) -> None:
    author = Author()
    x = author.input("x", (1, 3))
    y = author.constant(np.ones((1, 4), np.float32))
    author.output(author.op("add", "fp32", (1, 3), "sum", x=x, y=y))
    assert "op 'sum' (add) cannot run" in refusal(author.save(tmp_path / "a.mlpackage"))


def test_kernels_ask_for_what_they_need(tmp_path: Path) -> None:
    author = Author()
    x = author.input("x", (1, 3))
    author.output(author.op("leaky_relu", "fp32", (1, 3), "leak", x=x))
    told = refusal(author.save(tmp_path / "a.mlpackage"))
    assert "op 'leak' (leaky_relu) has no parameter 'alpha'" in told
