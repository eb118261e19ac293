"""What a run measures, and what it takes over from an earlier one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agecompact.errors import BackendMissingError, ConversionError, GateError, UsageError
from parity_tests.optimise import records, run
from parity_tests.optimise.records import Errors, Records
from tests.parity_tests.optimise.made import Bench, bench, tried

_TRIED = tried("fp32", "fp16", "int8-weights")
_STEPS = [(step, each.name) for each in _TRIED for step in ("make", "errors", "count")]
_EMPTY = Records(model="ssrnet")


def _measured(asked: Bench, before: Records = _EMPTY, **effort: object) -> run.Outcome:
    return run.measure(_TRIED, asked, before, lambda _: None, run.Effort(**effort))  # type: ignore[arg-type]


def test_every_candidate_is_measured_once() -> None:
    asked = bench()
    rows = run.rows(_TRIED, _measured(asked))
    assert asked.calls == _STEPS
    assert [row.name for row in rows] == ["float32", "float16", "int8-weights"]
    assert [(row.bytes, row.p99, row.instructions) for row in rows] == [
        (asked.sizes[n], asked.p99[n], asked.instructions[n]) for n in asked.p99
    ]


def test_a_second_run_measures_nothing_and_finds_the_same(tmp_path: Path) -> None:
    first = run.measure(_TRIED, bench(), _EMPTY, lambda found: records.write(tmp_path, found))
    again = bench()
    second = _measured(again, records.read(tmp_path, "ssrnet"))
    assert again.calls == []
    assert run.rows(_TRIED, second) == run.rows(_TRIED, first)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"weights": "others"}, {"make", "errors", "count"}),
        ({"tool": "2"}, {"make", "errors", "count"}),
        ({"faces": "others"}, {"errors"}),
        ({"place": "emulated:cortex-a53"}, {"count"}),
    ],
)
def test_what_a_change_affects_is_measured_again(changes, steps: set[str]) -> None:  # type: ignore[no-untyped-def]
    before = _measured(bench()).records
    again = bench().again(**changes)
    _measured(again, before)
    assert {step for step, _ in again.calls} == steps
    assert len(again.calls) == len(steps) * len(_TRIED)


def test_a_run_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    stopped = bench().again(fails={("count", "float16"): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run.measure(_TRIED, stopped, _EMPTY, lambda found: records.write(tmp_path, found))
    again = bench()
    _measured(again, records.read(tmp_path, "ssrnet"))
    assert stopped.calls[:-1] + again.calls == _STEPS


def test_a_conversion_that_fails_does_not_hide_the_others_and_is_tried_again() -> None:
    failing = bench().again(fails={("make", "float16"): ConversionError("no", why="reason")})
    outcome = _measured(failing)
    rows = {row.name: row for row in run.rows(_TRIED, outcome)}
    assert (rows["float16"].note, rows["float16"].p99) == ("no: reason", None)
    assert rows["int8-weights"].instructions == 800
    again = bench()
    _measured(again, outcome.records)
    assert {name for _, name in again.calls} == {"float16"}


def test_figures_of_other_weights_are_not_shown_beside_a_failure() -> None:
    before = _measured(bench()).records
    failing = bench().again(weights="b", fails={("make", "float16"): ConversionError("no")})
    rows = {row.name: row for row in run.rows(_TRIED, _measured(failing, before))}
    assert (rows["float16"].p99, rows["float16"].bytes) == (None, None)


@pytest.mark.parametrize("error", [UsageError("it does not open"), GateError("it gives NaN")])
def test_a_file_that_does_not_run_is_a_row_with_its_reason(error: Exception) -> None:
    outcome = _measured(bench().again(fails={("errors", "float16"): error}))
    row = run.rows(_TRIED, outcome)[1]
    assert (row.p99, row.note) == (None, str(error))


def test_without_an_emulator_the_other_axes_are_measured() -> None:
    missing = BackendMissingError("the ARM bundle is missing", fix="make arm-bundle")
    fails = {("count", each.name): missing for each in _TRIED}
    asked = bench().again(fails=fails)
    outcome = _measured(asked)
    assert outcome.uncounted is missing
    assert asked.calls.count(("count", "float32")) == 1
    assert ("count", "float16") not in asked.calls
    assert [row.p99 for row in run.rows(_TRIED, outcome)] == [1e-5, 0.01, 0.3]
    with pytest.raises(BackendMissingError, match="make arm-bundle"):
        _measured(bench().again(fails=fails), must_count=True)
    # Once there is one, only that is missing.
    again = bench()
    _measured(again, outcome.records)
    assert {step for step, _ in again.calls} == {"count"}


def test_a_missing_extra_ends_the_run() -> None:
    with pytest.raises(BackendMissingError):
        _measured(bench().again(fails={("make", "float32"): BackendMissingError("no extra")}))


def test_after_the_budget_no_other_candidate_is_started() -> None:
    times = iter([0.0, 0.0, 10.0, 20.0])
    asked = bench()
    outcome = _measured(asked, budget_s=5.0, clock=lambda: next(times))
    assert {name for _, name in asked.calls} == {"float32"}
    assert outcome.not_started == ("float16", "int8-weights")
    assert "budget" in run.rows(_TRIED, outcome)[1].note
    # What is there already costs nothing, so a budget of 0 shows it.
    rows = run.rows(_TRIED, _measured(asked.again(), outcome.records, budget_s=0.0))
    assert [row.p99 for row in rows] == [1e-5, None, None]


def test_records_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    records.write(tmp_path, _measured(bench()).records)
    with pytest.raises(UsageError, match="results of 'ssrnet', not of 'c3ae'"):
        records.read(tmp_path, "c3ae")
    path = tmp_path / records.FILE_NAME
    path.write_text(path.read_text().replace('"p99": 0.3', '"p99": -0.3'))
    with pytest.raises(UsageError, match="less than 0"):
        records.read(tmp_path, "ssrnet")


def test_half_precision_counts_by_its_errors_where_it_is_computed() -> None:
    half = tried("fp16-arith")
    (name,) = (each.name for each in half)
    asked = Bench(p99={name: 0.01}, instructions={name: 500}, sizes={name: 50})
    outcome = run.measure(half, asked, _EMPTY, lambda _: None)
    (row,) = run.rows(half, outcome)
    assert (row.p99, row.mae_cost, row.instructions) == (None, None, 500)
    assert "its error is not known" in row.note
    there = Errors(
        faces_sha256=asked.faces_sha256, faces=3, p99=0.2, mean=0.1, greatest=0.2, mae_cost=0.1
    )
    outcome = run.measure(half, asked.again(there=there), _EMPTY, lambda _: None)
    (row,) = run.rows(half, outcome)
    assert (row.p99, row.mean, row.mae_cost) == (0.2, 0.1, 0.1)
    # Other faces would give other errors there too.
    again = asked.again(faces="others", there=there)
    run.measure(half, again, outcome.records, lambda _: None)
    assert [step for step, _ in again.calls] == ["errors", "count"]
