"""Apple's own tests of the ops of the released models; `make mil-conformance` runs the rest."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.mil_conformance.explanations import Explanation, Ledger, read
from tests.support import REPOSITORY

CASES = (
    "iOS14/test_activation.py::TestReLU",
    "iOS14/test_activation.py::TestSigmoid",
    "iOS14/test_activation.py::TestSigmoidHard",
    "iOS14/test_activation.py::TestSoftmax",
    "iOS14/test_activation.py::TestThresholdedReLU",
    "iOS14/test_conv.py::TestConv::test_builder_to_backend_stress",
    "iOS14/test_elementwise_binary.py::TestElementwiseBinary",
    "iOS14/test_elementwise_unary.py::TestElementwiseUnary",
    "iOS14/test_linear.py::TestLinear",
    "iOS14/test_pool.py::TestAvgPool",
    "iOS14/test_pool.py::TestMaxPool",
    "iOS14/test_reduction.py::TestReduction::test_builder_to_backend_smoke",
    "iOS14/test_tensor_transformation.py::TestConcat",
    "iOS14/test_tensor_transformation.py::TestExpandDims",
    "iOS14/test_tensor_transformation.py::TestReshape",
    "iOS16/test_constexpr_ops.py::TestConstexprAffineDequantize",
    "iOS16/test_constexpr_ops.py::TestConstexprLutToDense",
    "iOS16/test_constexpr_ops.py::TestConstexprSparseToDense",
)


@pytest.mark.slow
def test_the_ops_of_released_models_pass_apples_tests() -> None:
    if find_spec("coremltools") is None:
        pytest.skip("coremltools is not installed")
    options = ["--light", "--per-test=2", "-ksmoke or stress"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.mil_conformance", *options, *CASES],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    counted = [x for x in ran.stdout.splitlines() if x.startswith("ran on the reference runtime")]
    assert int(counted[0].split()[-1]) >= 40


def test_an_explanation_covers_certain_tests_and_errors() -> None:
    ledger = Ledger(
        (
            Explanation(("a.py::TestA::*",), "no use", "no kernel for 'lstm'", strict=False),
            Explanation(("a.py::test_b[x-*]",), "rounding"),
        )
    )
    assert ledger.explain("a.py::TestA::test_c[1]", "AssertionError") is None
    assert len(ledger.unused()) == 2
    assert ledger.explain("a.py::TestA::test_c[1]", "has no kernel for 'lstm'") == "no use"
    assert ledger.explain("a.py::test_b[y-1]", "") is None
    assert ledger.explain("a.py::test_b[x-1]", "") == "rounding"
    assert ledger.unused() == ()
    assert ledger.by_reason() == {"no use": 1, "rounding": 1}


def test_an_explained_test_must_fail() -> None:
    ledger = Ledger((Explanation(("a.py::test_b[x-*]",), "rounding"),))
    assert ledger.should_fail("a.py::test_b[x-1]") == "rounding"
    assert ledger.should_fail("a.py::test_b[y-1]") is None


def test_every_explanation_has_a_reason() -> None:
    assert all(e.reason and e.ids for e in read().explanations)
