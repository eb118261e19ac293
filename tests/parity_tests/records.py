"""A result, for tests that need no model."""

from parity_tests.results import Result
from parity_tests.tolerances import load

GOOD = Result(
    model="c3ae",
    artifact="c3ae_float32.onnx",
    precision="float32",
    runtime="onnxruntime",
    label="ONNX Runtime",
    status="passed",
    kind=None,
    reason="",
    unit="years",
    tolerance=load().of(
        width=100.0, format="onnx", precision="float32", runtime="onnxruntime", model="c3ae"
    ),
    max_error=2e-5,
    p99_error=2e-5,
    mean_error=1e-5,
    searched_error=1e-4,
)
