"""Sessions: several inputs and outputs by name, images, traces and interfaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agecompact.formats import RUNTIMES
from agecompact.runtimes import mil
from agecompact.runtimes.base import Port
from agecompact.runtimes.process import RuntimeProcess
from tests.agecompact.runtimes.mil.authoring import Author, Value, ramp


@pytest.fixture
def two_by_two(tmp_path: Path) -> Path:
    """Sum and difference of two inputs."""
    author = Author()
    left, right = author.input("left", (None, 2)), author.input("right", (None, 2))
    total = author.op("add", "fp32", (None, 2), "total", x=left, y=right)
    author.output(total, author.op("sub", "fp32", (None, 2), "rest", x=left, y=right))
    return author.save(tmp_path / "two.mlpackage")


def test_inputs_and_outputs_are_bound_by_name(two_by_two: Path) -> None:
    session = mil.MIL.open_session(str(two_by_two), 1)
    left, right = ramp(3, 2), np.ones((3, 2), np.float32)
    for inputs in ({"left": left, "right": right}, {"right": right, "left": left}):
        outputs = session.infer(inputs)
        np.testing.assert_array_equal(outputs["total"], left + 1)
        np.testing.assert_array_equal(outputs["rest"], left - 1)
    session.prepare({"left": left, "right": right})()


def test_the_interface_is_that_of_the_file(two_by_two: Path) -> None:
    session = mil.MIL.open_session(str(two_by_two), 1)
    interface = session.interface()
    assert interface.inputs == dict.fromkeys(("left", "right"), Port((None, 2), "float32"))
    assert interface.outputs == dict.fromkeys(("total", "rest"), Port((None, 2), "float32"))
    assert interface.fixed_batch is None
    assert session.placement() is None


def test_a_trace_has_a_step_per_op_that_computes(tmp_path: Path) -> None:
    author = Author()
    x = author.input("x", (2, 4))
    half = author.op("cast", "fp16", (2, 4), "half", x=x, dtype="fp16")
    third = author.op("mul", "fp16", (2, 4), "third", x=half, y=np.float16(1 / 3))
    author.output(author.op("add", "fp16", (2, 4), "sum", x=third, y=half))
    path = str(author.save(tmp_path / "a.mlpackage"))
    values = ramp(2, 4)
    steps = mil.MIL.open_session(path, 1).trace({"x": values})
    assert [(s.op, s.output, s.inputs, s.scope) for s in steps] == [
        ("cast", "half", ("x",), ""),
        ("mul", "third", ("half",), ""),
        ("add", "sum", ("third", "half"), ""),
    ]
    assert {step.value.dtype for step in steps} == {np.dtype(np.float16)}
    third_of = values.astype(np.float16) * np.float16(1 / 3)
    np.testing.assert_array_equal(steps[1].value, third_of)
    exact = mil.FLOAT32.open_session(path, 1).trace({"x": values})
    assert {step.value.dtype for step in exact} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(exact[1].value, values * np.float32(np.float16(1 / 3)))


@pytest.mark.parametrize(("color", "order"), [(20, [0, 1, 2]), (30, [2, 1, 0])])
def test_an_image_reaches_the_program_in_its_colour_order(
    color: int, order: list[int], tmp_path: Path
) -> None:
    author = Author()
    x = author.input("face", (1, 3, 2, 4))
    author.output(author.op("add", "fp32", (1, 3, 2, 4), "y", x=x, y=np.float32(1)))
    image = author.specification.description.input[0].type.imageType
    image.height, image.width, image.colorSpace = 2, 4, color
    session = author.open(tmp_path)
    assert session.interface().inputs["face"] == Port((1, 2, 4, 3), "uint8")
    assert session.interface().fixed_batch == 1
    rgb = np.random.default_rng(0).integers(0, 256, (1, 2, 4, 3), np.uint8)
    expected = rgb.astype(np.float32).transpose(0, 3, 1, 2)[:, order] + 1
    np.testing.assert_array_equal(session.infer({"face": rgb})["y"], expected)


def test_an_op_may_have_several_outputs(tmp_path: Path) -> None:
    author = Author()
    x = author.input("x", (2, 4))
    values = author.op("topk", "fp32", (2, 2), "values", x=x, k=np.int32(2), axis=np.int32(1))
    indices = author.block.operations[-1].outputs.add()
    indices.CopyFrom(author.block.operations[-1].outputs[0])
    indices.name = "indices"
    indices.type.tensorType.dataType = 23
    author.output(values, Value("indices", "int32", (2, 2)))
    session = author.open(tmp_path)
    outputs = session.infer({"x": ramp(2, 4)})
    assert outputs["values"].tolist() == [[3, 2], [7, 6]]
    assert outputs["indices"].dtype == np.int32
    assert outputs["indices"].tolist() == [[3, 2], [3, 2]]
    assert [step.output for step in session.trace({"x": ramp(2, 4)})] == ["values", "indices"]


def test_it_is_never_called_core_ml() -> None:
    for backend in (mil.MIL, mil.FLOAT32):
        assert backend.version().startswith("reference runtime ")
        assert "core ml" not in backend.version().lower()


@pytest.mark.parametrize("name", ["mil", "mil-float32"])
def test_it_runs_in_a_worker_process(name: str, two_by_two: Path) -> None:
    batch = {side: np.ones((3, 1, 2), np.float32) for side in ("left", "right")}
    with RuntimeProcess(two_by_two, RUNTIMES[name]) as process:
        assert process.open().version.startswith("reference runtime")
        assert process.infer(batch)["total"].tolist() == [[[2, 2]]] * 3
        assert [step.op for step in process.trace(batch)] == ["add", "sub"]
