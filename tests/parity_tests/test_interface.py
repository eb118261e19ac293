"""An interface that differs from its contract is a failure of its own kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agecompact.models import registry
from agecompact.runtimes.base import Interface, Port
from parity_tests.interface import check_interface
from parity_tests.results import Failure

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
        (with_output("age", 1, 1, dtype="float16"), "dtypes"),
    ],
)
def test_each_difference_has_its_kind(declared: Interface, kind: str) -> None:
    with pytest.raises(Failure) as failure:
        check_interface(declared, C3AE)
    assert failure.value.kind == kind


def test_a_foreign_output_may_have_any_number_of_values() -> None:
    check_interface(with_output("age", 1, 10), C3AE, None)
