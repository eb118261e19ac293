"""Files for any number of faces are also run on several at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from agecompact.artifacts.manifest import Build
from agecompact.artifacts.manifest import read as read_build
from export import pipeline, targets
from parity_tests.foreign import Side, check_pair
from parity_tests.settings import CheckSettings
from tests.parity_tests.editing import edited_build, in_onnx, renamed
from tests.support import BuildOf, verdicts_on

FILE = "c3ae_float32.onnx"


@pytest.fixture(scope="module")
def dynamic(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("dynamic")
    chosen = targets.select(["onnx"], ["fp32"])
    weights = build_of("c3ae").weights
    pipeline.export(pipeline.Request(weights, chosen, folder, dynamic_batch=True))
    return read_build(folder / "c3ae")


def constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def alone(model: onnx.ModelProto) -> None:
    """A difference that is nothing where a call has one face."""
    name = model.graph.output[0].name
    renamed(model, {name: "y"})
    axis = constant(model, "batch axis", np.array([0]))
    tenth = constant(model, "tenth", np.array(0.1, np.float32))
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["y", axis], ["batch mean"], keepdims=1),
            helper.make_node("Sub", ["y", "batch mean"], ["difference"]),
            helper.make_node("Mul", ["difference", tenth], ["some"]),
            helper.make_node("Add", ["y", "some"], [name]),
        ]
    )


def first_for_all(model: onnx.ModelProto) -> None:
    """Every face gets the answer for the first."""
    name = model.graph.output[0].name
    renamed(model, {name: "y"})
    start, end = (constant(model, f"row {i}", np.array([i])) for i in (0, 1))
    zero = constant(model, "zero", np.array(0, np.float32))
    model.graph.node.extend(
        [
            helper.make_node("Slice", ["y", start, end, start], ["first"]),
            helper.make_node("Mul", ["y", zero], ["zeros"]),
            helper.make_node("Add", ["first", "zeros"], [name]),
        ]
    )


def neighbours(model: onnx.ModelProto) -> None:
    """Features are taken for those of one face if they are side by side, not by crop."""
    reshape = next(n for n in model.graph.node if n.output[0] == "view")
    shape = constant(model, "by face", np.array([-1, 3, 12]))
    reshape.input[1], reshape.output[0] = shape, "faces"
    place = list(model.graph.node).index(reshape) + 1
    transpose = helper.make_node("Transpose", ["faces"], ["view"], perm=[1, 0, 2])
    model.graph.node.insert(place, transpose)


@pytest.mark.parametrize(
    "fault",
    [alone, *(pytest.param(f, marks=pytest.mark.slow) for f in (first_for_all, neighbours))],
)
def test_an_answer_that_depends_on_the_batch_fails(
    fault: Callable[[onnx.ModelProto], None], dynamic: Build, tmp_path: Path
) -> None:
    build = edited_build(dynamic, tmp_path, {FILE: (FILE, in_onnx(fault))}, rehash=True)
    (result,) = verdicts_on(build)
    assert (result.status, result.kind) == ("failed", "batch"), result.reason
    assert "alone it is right" in result.reason


def test_a_file_that_runs_batches_passes(dynamic: Build) -> None:
    (result,) = verdicts_on(dynamic)
    assert result.status == "passed", result.reason


def test_a_foreign_file_is_run_in_a_batch_if_it_takes_one(dynamic: Build, tmp_path: Path) -> None:
    settings = CheckSettings(budget=None, localise="never", float64_s=None)
    right = dynamic.folder / FILE
    wrong = Path(shutil.copy(right, tmp_path))
    in_onnx(alone)(wrong)
    (result,) = check_pair(Side(right), Side(wrong), settings)
    assert (result.status, result.kind) == ("failed", "batch"), result.reason


def fixed_inside(model: onnx.ModelProto) -> None:
    """A reshape to one row, in a file whose inputs leave the batch open."""
    name = model.graph.output[0].name
    renamed(model, {name: "y"})
    row = constant(model, "one row", np.array([1, 1]))
    model.graph.node.append(helper.make_node("Reshape", ["y", row], [name]))


def test_a_foreign_file_that_fails_in_a_batch_passes_with_a_warning(
    dynamic: Build, tmp_path: Path
) -> None:
    settings = CheckSettings(budget=None, localise="never", float64_s=None)
    right = dynamic.folder / FILE
    other = Path(shutil.copy(right, tmp_path))
    in_onnx(fixed_inside)(other)
    said: list[str] = []
    (result,) = check_pair(Side(right), Side(other), settings, noted=said.append)
    assert result.status == "passed", result.reason
    assert any("declares that a call may have any number" in each for each in said)
