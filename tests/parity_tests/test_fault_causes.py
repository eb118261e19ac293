"""Each kind of fault is located and named as what it is, with the numbers that show it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.parity_tests.faults.catalogue import FAULTS
from tests.parity_tests.faults.table import Outcome, outcomes
from tests.support import BuildOf

pytestmark = pytest.mark.slow

# By name, among the faults of SSR-Net's ONNX file: the cause, and a part of the evidence.
SAID: Mapping[str, tuple[str, str]] = {
    "contract: value_range": ("contract", "(0, 1), not (0, 255): a pixel of 128 becomes 0.502"),
    "range in graph": ("value range / mean / std", "channels scaled by 0.003922"),
    "mean in graph": ("value range / mean / std", "channels shifted by -104, -117, -123"),
    "softsign for tanh": ("activation replaced", "those of softsign, not tanh"),
    "alpha 0.5": ("alpha", "multiplied by 0.5, its weights and bias are right"),
    "kernel transposed": ("weights differ", "their kernels are transposed"),
    "bias at the next channel": ("bias differs", "the same biases in another order"),
    "epsilon 1e-5": ("BN epsilon", "1e-05, 0.001 in the reference"),
    "index from 1": ("constant differs", "it is 1, 2, 3, not 0, 1, 2"),
    "V 100": ("constant differs", "it is 100, not 101"),
    "division swapped": ("operands swapped", "operands swapped"),
    "widths not multiplied": ("another input", "not 'mul:13'"),
    "no + 1": ("op missing", "add is missing"),
    "mean for sum": ("reduction replaced", "the mean, not the sum"),
}


@pytest.fixture(scope="module")
def found(build_of: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    chosen = [
        fault
        for fault in FAULTS
        if (fault.model, fault.file) == ("ssrnet", "float32.onnx") and fault.name in SAID
    ]
    made = outcomes(build_of("ssrnet"), chosen, tmp_path_factory.mktemp("faults"))
    return {each.fault.name: each for each in made}


@pytest.mark.parametrize("name", SAID)
def test_a_fault_is_named_as_what_it_is(name: str, found: dict[str, Outcome]) -> None:
    outcome = found[name]
    assert (outcome.caught, outcome.place) == (True, "right"), outcome.result
    cause, evidence = SAID[name]
    assert outcome.origin["suspicion"] == cause
    assert evidence in outcome.origin["evidence"]
