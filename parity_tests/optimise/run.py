"""Measures what is not measured yet, and saves each step, so that a run can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agecompact.console.common import Stages
from agecompact.errors import BackendMissingError, ConversionError, GateError, UsageError
from parity_tests.optimise.candidates import Candidate
from parity_tests.optimise.front import Row
from parity_tests.optimise.records import Count, Errors, Made, Origin, Record, Records

_UNKNOWN = "a phone computes it in half precision: its error is not known"
_ELSEWHERE = (
    "measured on {faces} faces where instructions are counted: p99 is the greatest error, and the "
    "MAE grows by no more than the mean error"
)
_SILENT = Stages(start=lambda _: None, done=lambda _: None)


class Measuring(Protocol):
    """What makes and measures candidates; `measurer.Measurer` describes each method."""

    @property
    def place(self) -> str | None: ...  # noqa: D102

    @property
    def faces_sha256(self) -> str: ...  # noqa: D102

    def origin(self, candidate: Candidate) -> Origin: ...  # noqa: D102
    def stale(self, candidate: Candidate, made: Made) -> str: ...  # noqa: D102
    def make(self, candidate: Candidate) -> Made: ...  # noqa: D102
    def errors(self, candidate: Candidate) -> Errors: ...  # noqa: D102
    def count(self, candidate: Candidate) -> Count: ...  # noqa: D102


@dataclass(frozen=True)
class Effort:
    """How much to do.

    Attributes:
        budget_s: After this time no other candidate is started; infinite for no limit.
        must_count: Whether it is an error if instructions cannot be counted.
        clock: Seconds since any moment.
    """

    budget_s: float = math.inf
    must_count: bool = False
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        records: All that was measured, in this run and earlier ones.
        failures: Why a candidate was not made or measured, by name.
        not_started: Names of those that the budget left no time for.
        uncounted: Why no instructions were counted; None if they were.
        same: The name of another candidate whose file is the same, by name.
    """

    records: Records
    failures: Mapping[str, str] = field(default_factory=dict)
    not_started: tuple[str, ...] = ()
    uncounted: BackendMissingError | None = None
    same: Mapping[str, str] = field(default_factory=dict)

    def counts(self, measuring: Measuring) -> bool:
        """Whether instructions are counted."""
        return measuring.place is not None and self.uncounted is None


def measure(
    candidates: Sequence[Candidate],
    measuring: Measuring,
    records: Records,
    save: Callable[[Records], None],
    effort: Effort = Effort(),
    stages: Stages = _SILENT,
) -> Outcome:
    """Measures candidates, one after the other.

    Args:
        candidates: The candidates.
        measuring: Makes and measures them.
        records: What earlier runs measured; whatever still fits is taken over.
        save: Called with all records after every step.
        effort: How much to do.
        stages: Shows the progress, one stage for each candidate.

    Raises:
        BackendMissingError: An extra is not installed, or instructions must be counted and cannot.
        AgecompactError: Anything else that is no fault of a single candidate.
    """
    started = effort.clock()
    outcome = Outcome(records)
    for place, candidate in enumerate(candidates):
        name, earlier = candidate.name, candidates[:place]
        record, why = _kept(records.of(name), candidate, measuring)
        if record is not None and (other := _same(record, earlier, outcome)):
            stages.done(f"{name}: the same file as {other}")
            outcome = _as_other(outcome, record, other, save)
            continue
        if record is not None and record.errors and (record.count or not outcome.counts(measuring)):
            stages.done(f"{name}: measured by an earlier run")
            outcome = _with(outcome, record, save)
            continue
        if effort.clock() - started >= effort.budget_s:
            stages.done(f"{name}: not started, the budget is used up")
            outcome = replace(outcome, not_started=(*outcome.not_started, name))
            continue
        stages.start(name)
        outcome = replace(outcome, records=outcome.records.without(name))
        outcome = _measured(candidate, record, measuring, outcome, save, effort, earlier)
        failure, same = outcome.failures.get(name), outcome.same.get(name)
        what = f"the same file as {same}" if same else "measured"
        what = f"failed: {failure}" if failure else what
        stages.done(f"{name}: {what}{f' again: {why}' if why and not failure else ''}")
    return outcome


def _kept(
    record: Record | None, candidate: Candidate, measuring: Measuring
) -> tuple[Record | None, str]:
    """The part of an earlier record that still fits, and why not all of it."""
    if record is None:
        return None, ""
    if why := measuring.stale(candidate, record.made):
        return None, why
    why = ""
    if record.errors and record.errors.faces_sha256 != measuring.faces_sha256:
        record, why = replace(record, errors=None), "other faces"
    count = record.count
    if count and count.place != measuring.place:
        record, why = replace(record, count=None), "another processor"
    elif count and count.there and count.there.faces_sha256 != measuring.faces_sha256:
        record, why = replace(record, count=None), "other faces"
    return record, why


def _measured(
    candidate: Candidate,
    record: Record | None,
    measuring: Measuring,
    outcome: Outcome,
    save: Callable[[Records], None],
    effort: Effort,
    earlier: Sequence[Candidate],
) -> Outcome:
    """The outcome with what a candidate's record lacks; saves after every step."""
    try:
        if record is None:
            record = Record(candidate=candidate.name, made=measuring.make(candidate))
            outcome = _with(outcome, record, save)
            if other := _same(record, earlier, outcome):
                return _as_other(outcome, record, other, save)
        if record.errors is None:
            record = replace(record, errors=_errors(candidate, measuring))
            outcome = _with(outcome, record, save)
        if record.count is None and outcome.counts(measuring):
            record = replace(record, count=measuring.count(candidate))
            outcome = _with(outcome, record, save)
    except (ConversionError, GateError) as error:
        return replace(outcome, failures={**outcome.failures, candidate.name: error.summary})
    except BackendMissingError as error:
        # Without its errors, the extra of the format is missing.
        if effort.must_count or record is None or record.errors is None:
            raise
        return replace(outcome, uncounted=error)
    return outcome


def _same(record: Record, earlier: Sequence[Candidate], outcome: Outcome) -> str:
    """The name of an earlier candidate with the same file; empty if there is none.

    A pass may have nothing to do in a network, and a larger share of float32 may hold no other op.
    """
    for candidate in earlier:
        other = outcome.records.of(candidate.name)
        if other is not None and other.made.sha256 == record.made.sha256:
            return candidate.name
    return ""


def _as_other(
    outcome: Outcome, record: Record, other: str, save: Callable[[Records], None]
) -> Outcome:
    """The outcome with a candidate whose file another one has, and which needs no figures."""
    outcome = _with(outcome, replace(record, errors=None, count=None), save)
    return replace(outcome, same={**outcome.same, record.candidate: other})


def _errors(candidate: Candidate, measuring: Measuring) -> Errors:
    try:
        return measuring.errors(candidate)
    except UsageError as error:
        # The runtime rejects the file, which is this candidate's fault alone.
        raise GateError(error.what, why=error.why) from None


def _with(outcome: Outcome, record: Record, save: Callable[[Records], None]) -> Outcome:
    records = outcome.records.with_record(record)
    save(records)
    return replace(outcome, records=records)


def rows(candidates: Sequence[Candidate], outcome: Outcome) -> tuple[Row, ...]:
    """A row for each candidate, in order, but for those whose file another one has."""
    return tuple(_row(each, outcome) for each in candidates if each.name not in outcome.same)


def _row(candidate: Candidate, outcome: Outcome) -> Row:
    name = candidate.name
    if name in outcome.not_started:
        return Row(name, note="not started: the budget was used up")
    failure, record = outcome.failures.get(name, ""), outcome.records.of(name)
    if record is None or record.errors is None:
        return Row(name, note=failure)
    count, note = record.count, failure
    errors: Errors | None = record.errors
    if candidate.is_inexact_here:
        there = count.there if count else None
        errors = _worse(record.errors, there) if there else None
        told = _ELSEWHERE.format(faces=there.faces) if there else _UNKNOWN
        note = failure or told
    return Row(
        name,
        record.made.bytes,
        errors.p99 if errors else None,
        errors.mean if errors else None,
        errors.mae_cost if errors else None,
        count.instructions if count else None,
        note,
    )


def _worse(here: Errors, there: Errors) -> Errors:
    """Of the errors in two places, the greater ones."""
    cost = None if there.mae_cost is None else max(there.mae_cost, here.mae_cost or 0.0)
    return replace(
        there, p99=max(here.p99, there.p99), mean=max(here.mean, there.mean), mae_cost=cost
    )
