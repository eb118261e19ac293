"""An ONNX reference is compared with float64 before anything is compared with it."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from agecompact.artifacts.parity import Float64Check
from agecompact.contract import Contract, Crop, Output
from agecompact.errors import GateError
from agecompact.serialization import write_versioned
from parity_tests import float64, inputs, tolerances
from parity_tests.foreign import Side, check_pair
from parity_tests.inputs import Sample
from parity_tests.junit import to_junit
from parity_tests.markdown import to_markdown
from parity_tests.parts import parts_of
from parity_tests.results import Failure, Result
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import Rule
from tests.parity_tests.editing import in_onnx
from tests.parity_tests.records import GOOD
from tests.tiny_files import SIDE, Head, Network, write_onnx

CONTRACT = Contract(
    (Crop("image"),), SIDE, SIDE, "RGB", (Output("age", "years"),), value_range=(0.0, 1.0)
)
QUICK = CheckSettings(budget=None, localise="never")
SAMPLES = (*inputs.fixed(CONTRACT), *inputs.mosaics(CONTRACT))
# In float32, numbers of this size are 8 apart.
GREAT = 1e8
node = helper.make_node


def network(path: Path, *tail: NodeProto, heads: Any = None) -> Path:
    """A tiny file whose output 'age' goes through more ops, from `real` to `age`."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.node[-1].output[0] = "real"
        graph.node.extend(tail)
        graph.initializer.append(numpy_helper.from_array(np.float32(GREAT), "great"))
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    write_onnx(path, Network(heads) if heads else Network())
    if tail:
        in_onnx(change)(path)
    return path


LOSES = (node("Add", ["real", "great"], ["sum"]), node("Sub", ["sum", "great"], ["age"]))


def with_itself(path: Path, settings: CheckSettings = QUICK) -> Result:
    """Compares a file with itself, which gives no error whatever it computes."""
    contract = path.with_suffix(".json")
    write_versioned(contract, CONTRACT)
    (result,) = check_pair(Side(path, contract), Side(path, contract), settings)
    assert result.max_error == 0.0
    return result


def check(path: Path, *, seconds: float = 30.0) -> Float64Check:
    """The check alone, of a file in float32 that always answers 0."""
    outputs = np.zeros((len(SAMPLES), 1))
    parts = parts_of(CONTRACT, outputs)
    gates = float64.gates_of(parts, tolerances.load(), "tiny")
    found = float64.compared(path, CONTRACT, parts, gates, SAMPLES, outputs, seconds=seconds)
    return found["age"]


def test_the_result_says_how_far_float32_is_from_float64(tmp_path: Path) -> None:
    result = with_itself(network(tmp_path / "net.onnx"))
    found = result.float64
    assert found is not None
    assert found.error is not None
    assert 0 < found.error < 1e-4
    assert (found.inputs, found.reason) == (4, "")
    assert float64.lines([result, result]) == [
        f"net.onnx: the reference, ONNX Runtime in float32, is within {found.error:.2g} years of "
        "float64 on 4 inputs"
    ]


def test_a_reference_whose_float32_loses_the_digits_fails(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", *LOSES)
    with pytest.raises(GateError, match="cannot be used as a reference") as refused:
        with_itself(path)
    why = refused.value.why
    assert why.startswith("ONNX Runtime's float32 is off float64 by ")
    assert "years on 'face', 0.0003 allowed" in why
    assert "years on 'mosaic 0', 0.002 allowed" in why
    assert "Rewrite that op in the network, or allow the error in --tolerances" in why
    # As the advice says.
    gates = tolerances.load()
    rule = Rule(format="onnx", max=GREAT, searched=GREAT)
    allowed = replace(QUICK, tolerances=replace(gates, rules=(*gates.rules, rule)))
    found = with_itself(path, allowed).float64
    assert found is not None
    assert found.error is not None
    assert found.error > 1.0


def test_an_op_without_float64_passes_and_is_named(tmp_path: Path) -> None:
    gelu = node("QuickGelu", ["real"], ["age"], domain="com.microsoft", alpha=1.0)
    result = with_itself(network(tmp_path / "net.onnx", gelu))
    assert result.status == "passed"
    (line,) = float64.lines([result])
    assert line.endswith(
        "was not compared with float64: no float64 evaluation: op QuickGelu of com.microsoft is "
        "not a standard ONNX op"
    )


@pytest.mark.slow
def test_a_reference_that_hangs_in_float64_is_cut_off(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", ["on"], ["still on"]), node("Identity", ["x"], ["next x"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, [1, 1]),
        ],
        [value("still on", TensorProto.BOOL, []), value("next x", TensorProto.FLOAT, [1, 1])],
    )
    tail = (
        node("Constant", [], ["count"], value_int=10**12),
        node("Constant", [], ["start"], value=numpy_helper.from_array(np.array(True))),
        node("Loop", ["count", "start", "real"], ["age"], body=body),
    )
    started = time.monotonic()
    found = check(network(tmp_path / "net.onnx", *tail), seconds=5.0)
    assert time.monotonic() - started < 15.0
    assert found == Float64Check(reason="no answer within 5 s")


class _Slow:
    """A model that answers once, then hangs."""

    def __init__(self, *_: object) -> None:
        self._answers = [np.zeros((1, 1))]

    def outputs(self, _: list[Sample]) -> np.ndarray:
        if not self._answers:
            raise Failure("timeout", "no answer within 5 s")
        return self._answers.pop()


def test_inputs_that_there_is_no_time_for_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(float64, "RuntimeProcess", lambda *_, **__: nullcontext())
    monkeypatch.setattr(float64, "ModelRunner", _Slow)
    assert check(tmp_path / "net.onnx") == Float64Check(1, 0.0)


def test_each_output_has_its_own_check(tmp_path: Path) -> None:
    heads = {"score": Head(((0.2, 0.1, 0.3),), 0.1), "age": Head()}
    path = network(tmp_path / "net.onnx", *LOSES, heads=heads)
    outputs = (Output("age", "years"), Output("score", "score"))
    contract = tmp_path / "contract.json"
    write_versioned(contract, replace(CONTRACT, outputs=outputs))
    with pytest.raises(GateError) as refused:
        check_pair(Side(path, contract), Side(path, contract), QUICK)
    assert "by age: " in refused.value.why
    assert "score" not in refused.value.why


def test_a_tflite_reference_has_no_check(tmp_path: Path) -> None:
    assert not float64.applies_to(tmp_path / "net.tflite")
    assert float64.lines([GOOD]) == []


def test_reports_have_the_line() -> None:
    near = replace(GOOD, float64=Float64Check(4, 4e-6))
    unknown = replace(GOOD, float64=Float64Check(reason="op <b> of |"))
    text = "the reference, ONNX Runtime in float32, is within 4e-06 years of float64 on 4 inputs"
    markdown = to_markdown([near], "ONNX Runtime (float32)")
    assert f"c3ae: {text}." in markdown.replace("\\", "")
    assert "agree with ONNX Runtime (float32)" in markdown.splitlines()[0]
    assert "<b>" not in to_markdown([unknown]).replace("\\<", "")
    suite = ET.fromstring(to_junit([near, unknown, GOOD]))
    outputs = [case.findtext("system-out") for case in suite.findall("testcase")]
    assert outputs[0] == text
    assert outputs[1] is not None
    assert outputs[1].endswith("was not compared with float64: op <b> of |")
    assert outputs[2] is None
