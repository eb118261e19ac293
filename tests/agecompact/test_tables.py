"""A table breaks no name and no number, whatever the console's width."""

import io

import pytest
from rich.console import Console

from agecompact.tables import Column, Table

TABLE = Table(
    columns=(
        Column("file", "name"),
        Column("parity max", "number"),
        Column("p50 ms", "number", rank=1),
        Column("first ms", "number", rank=2),
        Column("status"),
    ),
    rows=(
        ("mobileagenet_float32.mlpackage", "1.1e-04 years", "12.345", "45.12", "passed"),
        ("c3ae_float16.tflite", "4.5e-02 years", "0.123", "3.40", "failed: wrong output [x]"),
    ),
    title="Latency [1/2]",
    caption="error: on the golden pack",
)


def drawn(table: Table, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_every_name_and_number_that_is_shown_is_whole(width: int) -> None:
    text = drawn(TABLE, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for row in TABLE.rows:
        assert row[0] in text
        assert row[1] in text
    # Square brackets are text, not rich's markup.
    assert "[x]" in text
    assert "Latency [1/2]" in text


def test_wide_shows_all_on_a_line_a_row() -> None:
    lines = [line for line in drawn(TABLE, 140).splitlines() if "mobileagenet" in line]
    assert lines[0].split() == " ".join(TABLE.rows[0]).split()


def test_what_is_left_out_is_named_and_goes_by_rank() -> None:
    text = drawn(TABLE, 80)
    assert "45.12" not in text
    assert "too narrow for: first ms" in text
    assert "12.345" in text


def test_where_nothing_fits_each_row_is_a_block() -> None:
    lines = drawn(TABLE, 40).splitlines()
    assert "mobileagenet_float32.mlpackage" in lines
    assert "  first ms: 45.12" in lines
