"""An interface held to its contract: each departure is a failure of its own kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agecompact.contract import Contract
from agecompact.models import registry
from agecompact.runtimes.base import Interface, Port
from parity_tests.results import Failure
from parity_tests.runner import check_interface

C3AE = registry.get("c3ae").contract
IMAGE = Port((1, 3, 64, 64), "float32")
ANSWER = Port((1, 1), "float32")
RIGHT = Interface({"outer": IMAGE, "middle": IMAGE, "inner": IMAGE}, {"age": ANSWER})


def test_what_the_contract_says_passes() -> None:
    check_interface(RIGHT, C3AE)


def test_open_axes_and_a_flat_answer_pass() -> None:
    open_batch = Port((None, 3, 64, 64), "float32")
    inputs = dict.fromkeys(RIGHT.inputs, open_batch)
    for answer in (Port((None, 1), "float32"), Port((1,), "float32"), Port((), "float32")):
        check_interface(Interface(inputs, {"age": answer}), C3AE)


def test_channels_last_passes_under_a_contract_that_says_so() -> None:
    contract = replace(C3AE, layout="NHWC")
    inputs = dict.fromkeys(RIGHT.inputs, Port((1, 64, 64, 3), "float32"))
    check_interface(Interface(inputs, RIGHT.outputs), contract)


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (Interface({"a": IMAGE, "middle": IMAGE, "inner": IMAGE}, RIGHT.outputs), "names"),
        (Interface({"outer": IMAGE}, RIGHT.outputs), "names"),
        (Interface(RIGHT.inputs, {"years": ANSWER}), "names"),
        (Interface({"inner": IMAGE, "middle": IMAGE, "outer": IMAGE}, RIGHT.outputs), "order"),
        (
            Interface({**RIGHT.inputs, "inner": Port((1, 64, 64, 3), "float32")}, {"age": ANSWER}),
            "shapes",
        ),
        (
            Interface({**RIGHT.inputs, "inner": Port((1, 3, 32, 64), "float32")}, {"age": ANSWER}),
            "shapes",
        ),
        (
            Interface({**RIGHT.inputs, "inner": Port((3, 64, 64), "float32")}, {"age": ANSWER}),
            "shapes",
        ),
        (Interface(RIGHT.inputs, {"age": Port((1, 10), "float32")}), "shapes"),
        (
            Interface({**RIGHT.inputs, "inner": Port((1, 3, 64, 64), "uint8")}, {"age": ANSWER}),
            "dtypes",
        ),
        (Interface(RIGHT.inputs, {"age": Port((1, 1), "float16")}), "dtypes"),
    ],
)
def test_each_departure_has_its_kind(declared: Interface, kind: str) -> None:
    with pytest.raises(Failure) as failure:
        check_interface(declared, C3AE)
    assert failure.value.kind == kind


def test_a_foreign_answer_may_have_any_number_of_values() -> None:
    contract: Contract = C3AE
    check_interface(Interface(RIGHT.inputs, {"age": Port((1, 10), "float32")}), contract, None)
