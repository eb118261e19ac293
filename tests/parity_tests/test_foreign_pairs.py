"""Pairs of files that agecompact did not make: dtypes, layouts, batches, sizes and several outputs.

Each kind passes when right, and fails in its unit when a value is planted wrong.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from agecompact.artifacts.metadata import KEY, ArtifactMetadata
from agecompact.contract import Contract, Crop, Output, Reading
from agecompact.errors import UsageError
from agecompact.serialization import parse_json, write_versioned
from parity_tests import tolerances
from parity_tests.foreign import Side, check_pair
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import Rule
from tests.parity_tests.editing import in_onnx
from tests.support import REPOSITORY
from tests.tiny_files import SIDE, Head, Network, write_onnx, write_tflite

AGE = Output("age", "years")
CONTRACT = Contract((Crop("face"),), SIDE, SIDE, "RGB", (AGE,), value_range=(0.0, 1.0))
QUICK = CheckSettings(budget=None, localise="never", float64_s=None)
# What a wrong file is off by, in years.
WRONG = 3.0
STEP = 0.5


class Pair:
    """Checks files in a folder and keeps what was noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def contract(self, contract: Contract) -> Path:
        path = self.folder / f"{len([*self.folder.glob('*.json')])}.json"
        write_versioned(path, contract)
        return path

    def check(
        self,
        reference: Path,
        candidate: Path,
        contract: Contract = CONTRACT,
        *,
        other: Contract | None = None,
        settings: CheckSettings = QUICK,
    ) -> tuple[Result, ...]:
        """Checks a candidate, by the reference's contract or by another."""
        mine = Side(reference, self.contract(contract))
        theirs = Side(candidate, self.contract(other or contract))
        return check_pair(mine, theirs, settings, noted=self.notes.append)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def shifted(network: Network, by: float = WRONG) -> Network:
    """A network whose last output is wrong by some units."""
    name, head = [*network.heads.items()][-1]
    return replace(network, heads={**network.heads, name: replace(head, shift=head.shift + by)})


def allowing(error: float) -> CheckSettings:
    gates = tolerances.load()
    rule = Rule(max=error, p99=error, mean=error, searched=error)
    return replace(QUICK, tolerances=replace(gates, rules=(*gates.rules, rule)))


def assert_passed(*results: Result) -> None:
    for result in results:
        assert (result.status, result.kind) == ("passed", None), result.reason


def assert_off(result: Result, by: float = WRONG, rounding: float = 1e-3) -> None:
    """It fails by the planted error, in its unit."""
    assert (result.status, result.kind) == ("failed", "mismatch"), result.reason
    assert result.max_error == pytest.approx(by, abs=rounding)
    assert result.unit in result.reason


FOREIGN = {
    "half precision": (Network(dtype="float16"), "onnx", 0.05),
    "quantised levels": (Network(dtype="uint8", scale=(1 / 255, 0)), "onnx", 1e-3),
    "levels": (
        Network({"age": Head([[w / 255 for w in Head().weights[0]]])}, dtype="uint8"),
        "onnx",
        1e-3,
    ),
    "quantised ONNX": (
        Network({"age": Head(scale=(STEP, -100))}, "int8", (1 / 255, -128)),
        "onnx",
        STEP,
    ),
    "quantised TFLite": (
        Network({"age": Head(scale=(STEP, -100))}, "int8", (1 / 255, -128), channels_last=True),
        "tflite",
        STEP,
    ),
    "NHWC": (Network(channels_last=True), "onnx", 1e-3),
    "TFLite": (Network(channels_last=True), "tflite", 1e-3),
    "batch of 4": (Network(batch=4), "onnx", 1e-3),
    "TFLite batch of 4": (Network(batch=4, channels_last=True), "tflite", 1e-3),
    "any batch": (Network(batch=None), "onnx", 1e-3),
    "any size": (Network(batch=None, side=None), "onnx", 1e-3),
    "TFLite of any size": (Network(batch=None, side=None, channels_last=True), "tflite", 1e-3),
}
WRITERS = {"onnx": write_onnx, "tflite": write_tflite}


# One of each format and dtype; each takes seconds.
_FAST = ("TFLite", "batch of 4", "half precision", "quantised TFLite", "levels")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k in _FAST else [pytest.mark.slow]) for k in FOREIGN]
)
def test_a_foreign_file_passes_and_a_wrong_one_is_off_by_its_error(kind: str, pair: Pair) -> None:
    network, suffix, rounding = FOREIGN[kind]
    if suffix == "tflite":
        pytest.importorskip("ai_edge_litert")
    reference = write_onnx(pair.folder / "reference.onnx", Network())
    settings = allowing(rounding)
    right = WRITERS[suffix](pair.folder / f"right.{suffix}", network)
    assert_passed(*pair.check(reference, right, settings=settings))
    wrong = WRITERS[suffix](pair.folder / f"wrong.{suffix}", shifted(network))
    (result,) = pair.check(reference, wrong, settings=settings)
    assert_off(result, rounding=rounding)


def test_what_the_files_decide_is_stated(pair: Pair) -> None:
    reference = write_onnx(pair.folder / "a.onnx", Network(batch=4, side=None))
    quantised = Network({"Identity": Head(scale=(STEP, -100))}, "uint8", (1 / 255, 0))
    candidate = write_onnx(pair.folder / "b.onnx", quantised)
    assert_passed(*pair.check(reference, candidate, settings=allowing(STEP)))
    assert pair.notes == [
        "a.onnx: batch frozen at 4: it runs 4 images at a time",
        f"a.onnx: inputs of (4, 3, any, any) get {SIDE} x {SIDE} pixels, NCHW",
        "b.onnx: input 'image' is uint8 (scale 0.00392157 and zero point 0); the contract says "
        "float32",
        "b.onnx: output 'Identity' taken for 'age': the only one",
        "b.onnx: output 'Identity' is quantised in steps of 0.5 years",
    ]


TWO = replace(CONTRACT, outputs=(AGE, Output("gender", "score", size=2)))
GENDER = Head(weights=((0.5, 0.0, 0.2), (0.0, 0.4, 0.3)), shift=0.0)


def test_outputs_without_the_contracts_names_are_matched_by_size(pair: Pair) -> None:
    reference = write_onnx(pair.folder / "a.onnx", Network({"age": Head(), "gender": GENDER}))
    # In another order.
    network = Network({"Identity_1": GENDER, "Identity": Head()})
    candidate = write_onnx(pair.folder / "b.onnx", network)
    assert_passed(*pair.check(reference, candidate, TWO))
    assert "b.onnx: output 'Identity_1' taken for 'gender': the only one of 2 values" in pair.notes
    wrong = write_onnx(pair.folder / "wrong.onnx", shifted(network))
    age, gender = pair.check(reference, wrong, TWO)
    assert_off(age)
    assert_passed(gender)


def test_outputs_of_one_size_need_names(pair: Pair) -> None:
    contract = replace(CONTRACT, outputs=(AGE, Output("beard", "score")))
    beard = Head(weights=((0.5, 0.3, 0.1),), shift=0.0)
    reference = write_onnx(pair.folder / "a.onnx", Network({"age": Head(), "beard": beard}))
    network = Network({"Identity": Head(), "Identity_1": beard})
    candidate = write_onnx(pair.folder / "b.onnx", network)
    (result,) = pair.check(reference, candidate, contract)
    assert (result.status, result.kind) == ("failed", "names")
    assert "Identity (1, 1), Identity_1 (1, 1)" in result.reason
    # A contract of its own names them.
    named = replace(contract, outputs=(Output("Identity", "years"), Output("Identity_1", "score")))
    assert_passed(*pair.check(reference, candidate, contract, other=named))
    wrong = write_onnx(pair.folder / "wrong.onnx", shifted(network, 0.3))
    age, score = pair.check(reference, wrong, contract, other=named)
    assert_passed(age)
    assert_off(score, 0.3)


def test_each_side_has_its_own_contract(pair: Pair) -> None:
    """The candidate reads -1 to 1, and writes an age of 0 to 1."""
    reference = write_onnx(pair.folder / "a.onnx", Network())
    weights = [[w / 200 for w in Head().weights[0]]]
    network = Network({"y": Head(weights=weights, shift=0.1 + sum(weights[0]))})
    candidate = write_onnx(pair.folder / "b.onnx", network)
    shares = Output("y", "years", reading=Reading(scale=100.0))
    other = replace(CONTRACT, value_range=(-1.0, 1.0), outputs=(shares,))
    assert_passed(*pair.check(reference, candidate, other=other))
    wrong = write_onnx(pair.folder / "wrong.onnx", shifted(network, WRONG / 100))
    (result,) = pair.check(reference, wrong, other=other)
    assert_off(result)


def test_other_sizes_are_a_failure_of_shapes(pair: Pair) -> None:
    reference = write_onnx(pair.folder / "a.onnx", Network())
    candidate = write_onnx(pair.folder / "b.onnx", Network({"age": GENDER}))
    (result,) = pair.check(reference, candidate)
    assert (result.status, result.kind) == ("failed", "shapes")
    assert result.reason == "output 'age' has 2 values, 'age' of the reference has 1 value"


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (replace(CONTRACT, outputs=(AGE, Output("gender", "score"))), "names"),
        (replace(CONTRACT, outputs=(Output("age", "score"),)), "metadata"),
        (replace(CONTRACT, crops=(Crop("face"), Crop("eyes"))), "names"),
        (replace(CONTRACT, height=32), "shapes"),
        (replace(CONTRACT, color_order="GREY", mean=(), std=()), "shapes"),
    ],
    ids=["outputs", "unit", "inputs", "size", "grey"],
)
def test_contracts_that_do_not_fit_are_failures(other: Contract, kind: str, pair: Pair) -> None:
    reference = write_onnx(pair.folder / "a.onnx", Network())
    candidate = write_onnx(pair.folder / "b.onnx", Network())
    (result,) = pair.check(reference, candidate, other=other)
    assert (result.status, result.kind) == ("failed", kind), result.reason


def test_a_batch_that_cannot_be_filled_is_a_failure_of_shapes(pair: Pair) -> None:
    reference = write_onnx(pair.folder / "a.onnx", Network())
    candidate = write_onnx(pair.folder / "b.onnx", Network(batch=100_000))
    (result,) = pair.check(reference, candidate)
    assert (result.status, result.kind) == ("failed", "shapes")
    assert "frozen at 100000" in result.reason


def test_a_contract_that_contradicts_the_file_is_a_warning(pair: Pair) -> None:
    def embed(model):
        entry = model.metadata_props.add()
        bgr = replace(CONTRACT, color_order="BGR")
        entry.key = KEY
        entry.value = ArtifactMetadata("m", "float32", bgr, "0" * 64, "", "", {}).to_json()

    reference = write_onnx(pair.folder / "a.onnx", Network())
    candidate = write_onnx(pair.folder / "b.onnx", Network())
    in_onnx(embed)(candidate)
    assert_passed(*pair.check(reference, candidate))
    (warning,) = pair.notes
    assert warning == (
        "warning: the contract given for b.onnx contradicts the one in it, and counts: "
        "color_order is RGB, not BGR"
    )
    # The one in the file is wrong.
    mine = Side(reference, pair.contract(CONTRACT))
    (result,) = check_pair(mine, Side(candidate), QUICK)
    assert (result.status, result.kind) == ("failed", "mismatch")


def test_crops_are_bound_by_name_whatever_the_order_of_the_inputs(pair: Pair) -> None:
    weights = {"outer": 60.0, "inner": 25.0}

    def network(name: str, inputs: tuple[str, str], shift: float = 10.0) -> Path:
        nodes = []
        for each in inputs:
            nodes.append(helper.make_node("ReduceMean", [each, "axes"], [f"{each} mean"]))
            nodes.append(helper.make_node("Mul", [f"{each} mean", f"{each} w"], [f"{each} part"]))
        nodes.append(helper.make_node("Sum", ["outer part", "inner part", "shift"], ["sum"]))
        nodes.append(helper.make_node("Reshape", ["sum", "shape"], ["age"]))
        constants = {
            "axes": np.array([1, 2, 3]),
            "shift": np.float32(shift),
            "shape": np.array([1, 1]),
            **{f"{each} w": np.float32(weight) for each, weight in weights.items()},
        }
        graph = helper.make_graph(
            nodes,
            "two",
            [helper.make_tensor_value_info(each, 1, [1, 3, SIDE, SIDE]) for each in inputs],
            [helper.make_tensor_value_info("age", 1, [1, 1])],
            [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
        )
        opsets = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        onnx.save(model, pair.folder / name)
        return pair.folder / name

    crops = (Crop("outer"), Crop("inner", 0.25, 0.25, 0.75, 0.75))
    contract = replace(CONTRACT, crops=crops)
    turned = replace(CONTRACT, crops=crops[::-1])
    reference = network("a.onnx", ("outer", "inner"))
    candidate = network("b.onnx", ("inner", "outer"))
    assert_passed(*pair.check(reference, candidate, contract, other=turned))
    assert pair.notes == []
    wrong = network("wrong.onnx", ("inner", "outer"), 10.0 + WRONG)
    (result,) = pair.check(reference, wrong, contract, other=turned)
    assert_off(result)


@pytest.mark.parametrize("kind", ["batch of 4", "TFLite of any size", "quantised TFLite"])
def test_the_error_of_a_foreign_file_is_localised(kind: str, pair: Pair) -> None:
    network, suffix, _ = FOREIGN[kind]
    if suffix == "tflite":
        pytest.importorskip("ai_edge_litert")
    reference = write_onnx(pair.folder / "a.onnx", Network())
    wrong = replace(network, heads={"age": Head(weights=((20.0, 45.0, 15.0),))})
    candidate = WRITERS[suffix](pair.folder / f"b.{suffix}", wrong)
    (result,) = pair.check(reference, candidate, settings=replace(QUICK, localise="mismatch"))
    assert result.kind == "mismatch"
    assert result.localisation is not None
    assert result.localisation["originates_at"]["candidate_op"].startswith(
        ("MatMul", "FULLY_CONNECTED")
    )


def test_the_contract_in_the_docs_is_one() -> None:
    page = (REPOSITORY / "docs" / "foreign-pairs.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    contract = parse_json(text, Contract, where="the docs")
    assert contract.output_names == ("age", "gender")


def test_an_ir_version_that_the_runtime_refuses_is_named(pair: Pair) -> None:
    good = write_onnx(pair.folder / "a.onnx", Network())
    new = write_onnx(pair.folder / "new.onnx", Network(), ir_version=99)
    (result,) = pair.check(good, new)
    assert (result.status, result.kind) == ("failed", "load")
    assert "its IR version is 99" in result.reason
    with pytest.raises(UsageError, match="cannot be used as a reference") as refused:
        pair.check(new, good)
    assert "its IR version is 99" in refused.value.why
    assert "agecompact inspect" in refused.value.fix
