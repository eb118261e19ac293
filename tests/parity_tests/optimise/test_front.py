"""The Pareto front and the choice, against their definitions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.bench.pareto import dominates
from agecompact.errors import GateError
from parity_tests.optimise.front import Limits, Row, axes, choose, front

# Few values, so that rows are often equal on an axis.
_small = st.integers(1, 4)
_figures = st.tuples(_small, _small, _small)


def _rows(figures: list[tuple[int, int, int]]) -> list[Row]:
    return [Row(f"r{i}", size, p99, instructions=n) for i, (p99, n, size) in enumerate(figures)]


def _is_better(one: Row, other: Row) -> bool:
    """Whether one is nowhere worse and somewhere better, written out axis by axis."""
    pairs = [(one.p99, other.p99), (one.instructions, other.instructions), (one.bytes, other.bytes)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)  # type: ignore[operator]


@given(st.lists(_figures, min_size=1, max_size=8))
def test_no_row_of_the_front_is_dominated_and_every_other_is(
    figures: list[tuple[int, int, int]],
) -> None:
    rows = _rows(figures)
    best = front(rows)
    assert best
    for row in rows:
        assert (row.name in best) != any(_is_better(other, row) for other in rows)


@given(st.lists(_figures, min_size=1, max_size=8), st.randoms())
def test_the_order_of_the_rows_does_not_matter(figures, random) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(figures)
    shuffled = rows[:]
    random.shuffle(shuffled)
    assert front(rows) == front(shuffled)


@given(_figures, _figures)
def test_two_points_never_dominate_each_other(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert not (dominates(one, other) and dominates(other, one))
    assert not dominates(one, one)


def test_an_axis_that_nobody_knows_is_left_out() -> None:
    rows = [Row("a", 10, 0.1), Row("b", 5, 0.2), Row("c", 11, 0.2)]
    assert axes(rows) == ("p99", "bytes")
    assert front(rows) == {"a", "b"}


def test_a_row_with_an_unknown_figure_is_not_on_the_front() -> None:
    rows = [Row("a", 10, 0.1, instructions=5), Row("b", 1, 0.0)]
    assert front(rows) == {"a"}
    assert front([]) == front([Row("a")]) == frozenset()


_CHOICES = (
    Row("exact", 100, 0.001, mae_cost=0.0, instructions=900),
    Row("half", 50, 0.01, mae_cost=-0.001, instructions=900),
    Row("fast", 60, 0.3, mae_cost=0.04, instructions=300),
    Row("small", 30, 0.7, mae_cost=0.2, instructions=500),
    Row("unknown", 1, None, instructions=1),
)


@pytest.mark.parametrize(
    ("limits", "minimise", "name"),
    [
        (Limits(mae_cost=0.05), "instructions", "fast"),
        (Limits(mae_cost=0.05), "bytes", "half"),
        (Limits(p99=1.0), "bytes", "small"),
        (Limits(p99=0.3), "instructions", "fast"),
        (Limits(p99=0.3, mae_cost=0.01), "instructions", "half"),
        (Limits(p99=0.001), "bytes", "exact"),
        (Limits(mae_cost=0.0), "bytes", "half"),
    ],
)
def test_the_cheapest_within_the_limits_is_chosen(limits, minimise, name) -> None:  # type: ignore[no-untyped-def]
    assert choose(_CHOICES, limits, minimise).name == name


@given(st.lists(_figures, min_size=1, max_size=8), _small)
def test_what_is_chosen_is_within_the_limit_and_nothing_within_it_is_cheaper(
    figures: list[tuple[int, int, int]], limit: int
) -> None:
    rows = _rows(figures)
    within = [row for row in rows if row.p99 is not None and row.p99 <= limit]
    if not within:
        with pytest.raises(GateError):
            choose(rows, Limits(p99=limit), "bytes")
        return
    chosen = choose(rows, Limits(p99=limit), "bytes")
    assert chosen in within
    assert chosen.bytes == min(row.bytes or 0 for row in within)


def test_the_error_names_what_comes_nearest() -> None:
    with pytest.raises(GateError) as caught:
        choose(_CHOICES[2:], Limits(p99=0.25, mae_cost=0.05), "bytes")
    assert caught.value.why == "fast comes nearest: its p99 is 0.3, the limit is 0.25"
    assert caught.value.exit_code == 1


def test_an_unknown_figure_is_never_within_a_limit() -> None:
    with pytest.raises(GateError, match="its p99 is unknown"):
        choose(_CHOICES[4:], Limits(p99=100.0), "bytes")
    uncounted = [replace(row, instructions=None) for row in _CHOICES]
    with pytest.raises(GateError, match="the instructions of none are known"):
        choose(uncounted, Limits(p99=1.0), "instructions")
