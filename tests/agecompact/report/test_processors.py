"""One row for a model in a precision, one column for a processor, each figure from a result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agecompact.artifacts.parity import Result
from agecompact.formats import RUNTIMES
from agecompact.report import processors
from agecompact.report.document import DASH


def result(runtime: str, error: float | None, kind: str | None = None) -> Result:
    return Result(
        model="m",
        artifact="m_float32.onnx",
        precision="float32",
        runtime=runtime,
        label=RUNTIMES[runtime].label,
        status="failed" if kind else "passed",
        kind=kind,
        reason="",
        unit="years",
        tolerance=None,
        max_error=error,
    )


class _Entry:
    def __init__(self, format_: str, precision: str) -> None:
        self.format, self.precision = format_, precision


class _Artifact:
    """What the table reads of an `evidence.Artifact`."""

    def __init__(self, format_: str, precision: str, *results: Result) -> None:
        self.model, self.entry, self.results = "m", _Entry(format_, precision), results
        self.records: tuple[Any, ...] = ()


def drawn(*artifacts: _Artifact) -> dict[str, dict[str, str]]:
    made = processors.table(artifacts)  # type: ignore[arg-type]
    assert made is not None
    headings = [column.heading for column in made.columns]
    return {row[1]: dict(zip(headings, row, strict=True)) for row in made.rows}


def test_formats_of_one_precision_share_a_row() -> None:
    rows = drawn(
        _Artifact("onnx", "float32", result("onnxruntime", 1e-5), result("htp-v75", 0.5)),
        _Artifact("tflite", "float32", result("litert", 2e-5), result("litert-gpu", 3e-5)),
        _Artifact("tflite", "int8", result("litert", 0.6)),
    )
    assert rows["float32"]["CPU"] == "onnx 1.0e-05, tflite 2.0e-05"
    assert rows["float32"]["NPU"] == "onnx 5.0e-01"
    assert rows["float32"]["GPU"] == "tflite 3.0e-05"
    assert rows["int8"]["CPU"] == "tflite 6.0e-01"
    assert rows["int8"]["GPU"] == rows["int8"]["NPU"] == DASH


def test_of_several_runtimes_on_a_processor_the_worst_counts() -> None:
    rows = drawn(
        _Artifact("onnx", "int8", result("htp-v75", 0.5), result("htp-v79", 0.7)),
    )
    assert rows["int8"]["NPU"] == "onnx 7.0e-01"


def test_a_failure_is_named_and_hides_no_pass() -> None:
    failed = result("litert-gpu", None, "fallback")
    rows = drawn(_Artifact("tflite", "int8", result("litert", 0.5), failed))
    assert rows["int8"]["GPU"] == "tflite fallback"
    assert rows["int8"]["CPU"] == "tflite 5.0e-01"


def test_a_runtime_that_is_not_installed_is_no_figure() -> None:
    skipped = replace(result("htp-v75", None), status="skipped")
    only_cpu = _Artifact("onnx", "float32", result("onnxruntime", 1e-5), skipped)
    assert processors.table([only_cpu]) is None  # type: ignore[list-item]


@pytest.mark.parametrize("name", list(RUNTIMES))
def test_every_processor_has_a_column(name: str) -> None:
    assert RUNTIMES[name].processor in processors._ORDER
