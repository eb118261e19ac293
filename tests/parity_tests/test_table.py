"""The table of `parity` at the widths of terminals and logs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from agecompact.formats import FORMATS, TARGETS
from parity_tests.results import Result
from parity_tests.table import table
from tests.parity_tests.records import GOOD

# Every file of the model with the longest name, in every runtime.
RESULTS = [
    replace(
        GOOD,
        artifact=target.file_name("ssrnet-gender"),
        runtime=runtime.name,
        label=runtime.label,
        precision=target.precision.name,
    )
    for target in TARGETS
    for runtime in FORMATS[target.format.name].runtimes
]
FAILED = replace(RESULTS[0], status="failed", kind="not-finite", max_error=None)


def drawn(results: Sequence[Result], width: int, reference: str = "PyTorch") -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table(results, reference))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("results", [RESULTS, [FAILED, *RESULTS[1:]]], ids=["passed", "failed"])
def test_every_check_has_one_line_with_its_error_and_verdict(
    results: list[Result], width: int
) -> None:
    lines = drawn(results, width)
    assert all(len(line) <= width for line in lines)
    for result in results:
        (line,) = [x for x in lines if x.split()[:2] == [result.artifact, result.runtime]]
        figure = "-" if result.max_error is None else f"{result.max_error:.1e}"
        assert line.split()[2] == figure
        assert line.endswith(result.verdict)


def test_the_gate_of_the_greatest_error_is_beside_it() -> None:
    headings = next(line for line in drawn(RESULTS, 140) if "allowed" in line).split()
    assert headings[2:] == ["max", "allowed", "searched", "p99", "mean", "verdict"]


def test_the_title_names_the_reference_and_the_unit() -> None:
    assert drawn(RESULTS, 140)[0] == "Error against PyTorch in years"
    assert drawn([GOOD], 140, "theirs.onnx")[0] == "Error against theirs.onnx in years"


def test_mixed_units_have_a_column() -> None:
    lines = drawn([GOOD, replace(GOOD, unit="score")], 140)
    assert lines[0] == "Error against PyTorch"
    assert [x.split()[-1] for x in lines if GOOD.artifact in x] == ["years", "score"]
