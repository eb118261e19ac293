"""An interface that differs from its contract fails, each difference by a kind of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agecompact.formats import RUNTIMES
from agecompact.models import registry
from agecompact.runtimes.base import Declaration, Declared, Interface, Port
from agecompact.runtimes.registry import load
from parity_tests.interface import check_declared, check_interface
from parity_tests.results import Failure
from tests.support import BuildOf

C3AE = registry.get("c3ae").contract
IMAGE = Port((1, 3, 64, 64), "float32")
OUTPUT = Port((1, 1), "float32")
RIGHT = Interface({"outer": IMAGE, "middle": IMAGE, "inner": IMAGE}, {"age": OUTPUT})


def with_inner(*shape: int, dtype: str = "float32") -> Interface:
    return replace(RIGHT, inputs={**RIGHT.inputs, "inner": Port(shape, dtype)})


def with_output(name: str, *shape: int, dtype: str = "float32") -> Interface:
    return replace(RIGHT, outputs={name: Port(shape, dtype)})


def with_inputs(*names: str, port: Port = IMAGE) -> Interface:
    return replace(RIGHT, inputs=dict.fromkeys(names, port))


@pytest.mark.parametrize(
    ("declared", "layout"),
    [
        (RIGHT, "NCHW"),
        (with_inputs(*RIGHT.inputs, port=Port((None, 3, 64, 64), "float32")), "NCHW"),
        (with_inputs(*RIGHT.inputs, port=Port((1, 64, 64, 3), "float32")), "NHWC"),
        (replace(RIGHT, outputs={"age": Port((None, 1), "float32")}), "NCHW"),
        (with_output("age", 1), "NCHW"),
        (with_output("age"), "NCHW"),
        (with_output("age", 1, 1, dtype="float16"), "NCHW"),
    ],
)
def test_an_interface_that_matches_its_contract_passes(declared: Interface, layout: str) -> None:
    check_interface(declared, replace(C3AE, layout=layout))


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (with_inputs("a", "middle", "inner"), "names"),
        (with_inputs("outer"), "names"),
        (with_output("years", 1, 1), "names"),
        (with_inputs("inner", "middle", "outer"), "order"),
        (with_inner(1, 64, 64, 3), "shapes"),
        (with_inner(1, 3, 32, 64), "shapes"),
        (with_inner(3, 64, 64), "shapes"),
        (with_output("age", 1, 10), "shapes"),
        (with_inner(1, 3, 64, 64, dtype="uint8"), "dtypes"),
        (with_output("age", 1, 1, dtype="tensor(string)"), "dtypes"),
    ],
)
def test_each_difference_has_its_kind(declared: Interface, kind: str) -> None:
    with pytest.raises(Failure) as failure:
        check_interface(declared, C3AE)
    assert failure.value.kind == kind


def test_an_output_of_unknown_size_is_accepted_until_it_runs() -> None:
    check_interface(with_output("age", 1, None), C3AE)


def declared(batch: int | None, *oddities: str) -> Declared:
    image = Port((batch, 3, 64, 64), "float32")
    inputs = tuple((name, image) for name in C3AE.input_names)
    place = Declaration("graph", inputs, (("age", Port((batch, 1), "float32")),))
    return Declared((place,), oddities)


@pytest.mark.parametrize("batch", [None, 1])
def test_the_batch_must_be_the_one_of_the_manifest(batch: int | None) -> None:
    check_declared(declared(batch), C3AE, batch)
    with pytest.raises(Failure) as failure:
        check_declared(declared(1 if batch is None else None), C3AE, batch)
    assert failure.value.kind == "shapes"
    assert "any" in failure.value.reason


def test_an_artefact_has_float32_outputs() -> None:
    good = declared(1)
    half = replace(good.places[0], outputs=(("age", Port((1, 1), "float16")),))
    with pytest.raises(Failure, match="float16") as failure:
        check_declared(replace(good, places=(half,)), C3AE, 1)
    assert failure.value.kind == "dtypes"


def test_each_place_must_agree_with_the_contract() -> None:
    good = declared(1)
    (graph,) = good.places
    wrong = replace(graph, where="description", outputs=())
    with pytest.raises(Failure, match="description: outputs are missing; the contract has age"):
        check_declared(replace(good, places=(graph, wrong)), C3AE, 1)


def test_all_oddities_are_named() -> None:
    with pytest.raises(Failure, match="a state; a default") as failure:
        check_declared(declared(1, "a state", "a default"), C3AE, 1)
    assert failure.value.kind == "interface"


def test_weights_declare_what_their_session_reports(build_of: BuildOf) -> None:
    build = build_of("ssrnet")
    found = load(RUNTIMES["pytorch"]).declared(str(build.weights))
    check_declared(found, build.manifest.contract, None)
