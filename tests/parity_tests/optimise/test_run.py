"""What a run measures, and what it takes over from an earlier one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agecompact.errors import BackendMissingError, ConversionError, GateError, UsageError
from parity_tests.optimise import candidates, records, run
from parity_tests.optimise.front import Limits, choose, front
from parity_tests.optimise.records import Errors, Records
from tests.parity_tests.optimise.made import Bench, bench, tried

_TRIED = tried("fp32", "fp16", "int8-weights")
_STEPS = [(step, each.name) for each in _TRIED for step in ("make", "errors", "count")]
_FLOAT16 = [step for step in _STEPS if step[1] == "float16"]
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


_SAME = {"float16": "float32"}


def test_a_file_that_another_candidate_has_is_measured_once() -> None:
    asked = bench().again(contents=_SAME)
    outcome = _measured(asked)
    assert asked.calls == [step for step in _STEPS if step not in _FLOAT16[1:]]
    assert outcome.same == {"float16": "float32"}
    assert [row.name for row in run.rows(_TRIED, outcome)] == ["float32", "int8-weights"]


def test_a_second_run_knows_that_the_files_are_the_same_and_makes_neither() -> None:
    before = _measured(bench().again(contents=_SAME)).records
    again = bench().again(contents=_SAME)
    outcome = _measured(again, before)
    assert again.calls == []
    assert outcome.same == {"float16": "float32"}
    # Once the file is another one, it has figures of its own.
    other = bench().again(tool="2")
    assert not _measured(other, before).same
    assert other.calls == _STEPS


def test_without_a_place_to_count_no_instructions_are_asked_for() -> None:
    asked = bench().again(place=None)
    outcome = _measured(asked)
    assert {step for step, _ in asked.calls} == {"make", "errors"}
    assert outcome.uncounted is None
    again = bench().again(place=None)
    _measured(again, outcome.records)
    assert again.calls == []


def test_a_run_with_more_candidates_measures_only_those(tmp_path: Path) -> None:
    wider = candidates.listed(["int8"], tmp_path).tried
    names = [each.name for each in wider]
    figures = {name: 3 - i for i, name in enumerate(names)}
    asked = Bench(p99=figures, instructions=dict.fromkeys(names, 9), sizes=dict.fromkeys(names, 9))
    before = run.measure(wider[:1], asked, _EMPTY, lambda _: None).records
    again = asked.again()
    outcome = run.measure(wider, again, before, lambda _: None)
    assert {name for _, name in again.calls} == set(names[1:])
    assert [row.name for row in run.rows(wider, outcome)] == names


def test_partly_float_int8_that_is_worse_than_int8_is_not_chosen(tmp_path: Path) -> None:
    wider = candidates.listed(["int8"], tmp_path).tried[:2]
    plain, partly = (each.name for each in wider)
    # The fault: the derived file costs more and is further off.
    asked = Bench(
        p99={plain: 0.5, partly: 0.6},
        instructions={plain: 100, partly: 110},
        sizes={plain: 50, partly: 50},
    )
    rows = run.rows(wider, run.measure(wider, asked, _EMPTY, lambda _: None))
    assert front(rows) == {plain}
    for cost in ("instructions", "bytes"):
        assert choose(rows, Limits(p99=1.0), cost).name == plain  # type: ignore[arg-type]
