"""Tables of records are readable on a narrow, a usual and a wide terminal."""

from dataclasses import replace

import pytest

from agecompact.bench import tables
from agecompact.bench.diff import compare
from agecompact.bench.figures import Memory, OpTime
from agecompact.bench.timing import Startup
from agecompact.bench.validity import validated
from tests import records
from tests.agecompact.test_tables import drawn

_WIDTHS = pytest.mark.parametrize("width", [80, 100, 140])
_LONGEST = "ssrnet-gender_float16.mlpackage"


def assert_rows_are_whole(table, width):
    """Checks that each row is one line of whole names and numbers, and complete at 140 columns."""
    text = drawn(table, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert width < 140 or "too narrow for" not in text
    lines = [line.split() for line in text.splitlines()]
    always = [i for i, c in enumerate(table.columns) if c.rank == 0 and c.kind != "text"]
    names = [i for i in always if table.columns[i].kind == "name"]
    for row in table.rows:
        start = [word for i in names for word in row[i].split()]
        (line,) = (line for line in lines if line[: len(start)] == start)
        assert set(line) <= set(" ".join(row).split())
        assert all(word in line for i in always for word in row[i].split())


def _named(record, file, **changed):
    return validated(replace(record, artifact=replace(record.artifact, file=file), **changed))


@_WIDTHS
def test_times_have_a_line_per_file(width):
    started = {
        "startup": Startup(first_inference_ms=12.5, cold_start_ms=345.0),
        "memory": Memory(model_rss_bytes=6_700_000),
    }
    uncertain = replace(records.RATIO, low=0.5, high=1.2)
    measured = (
        _named(records.HOST, _LONGEST, **started),
        _named(records.HOST, "a.tflite", ratio=uncertain),
    )
    (table,) = tables.measured(measured)
    assert_rows_are_whole(table, width)
    assert table.title == "Latency, threads 1, batch 1\na host's, Linux"
    assert table.rows[0][:3] == (_LONGEST, "0.80", "0.79-0.81")
    assert table.rows[0][-2:] == ("1.0e-03 y", "valid")
    assert table.rows[1][-1] == "invalid: spread-too-wide"


@_WIDTHS
def test_settings_that_differ_are_columns(width):
    four = replace(records.RUNTIME, threads=4, batch=8)
    (table,) = tables.measured([records.HOST, _named(records.HOST, "b", runtime=four)])
    assert_rows_are_whole(table, width)
    headings = [column.heading for column in table.columns]
    assert headings[1:3] == ["threads", "batch"]
    assert "ms/face" in headings
    # Nothing is known of the start.
    assert not {"first ms", "cold ms", "MB"} & set(headings)


@_WIDTHS
def test_counts_have_a_line_per_file(width):
    counted = replace(
        records.EMULATED.instructions, store=1, multiply_accumulate=2, simd=3, branch=4
    )
    (table,) = tables.measured([_named(records.EMULATED, _LONGEST, instructions=counted)])
    assert_rows_are_whole(table, width)
    assert table.rows[0][:4] == (_LONGEST, "4.41", "4.4", "1.00")
    assert "emulated" not in table.title
    assert "qemu-aarch64" in table.title


@_WIDTHS
def test_sizes_have_a_line_per_file(width):
    large = replace(
        records.ARTIFACT,
        file=_LONGEST,
        file_bytes=13_000_300,
        size=replace(records.SIZE, weights_bytes=13_000_000),
    )
    table = tables.sizes([records.ARTIFACT, large, replace(large, file="broken", size=None)])
    assert_rows_are_whole(table, width)
    assert table.rows[1][:3] == (_LONGEST, "13,000,300", "13,000,000")
    assert table.rows[2][1:3] == ("13,000,300", "-")


@_WIDTHS
def test_a_profile_has_a_line_per_op(width):
    ops = tuple(
        OpTime(name=f"/features/{i}/conv/Conv_quant", kind="FusedConv", runs=1, mean_ms=1.0)
        for i in range(20)
    )
    (table,) = tables.profiles([records.HOST, replace(records.HOST, profile=ops)])
    assert len(table.rows) == 10
    assert table.rows[0][1:] == ("FusedConv", "1", "1.000", "5%")
    assert_rows_are_whole(table, width)


@_WIDTHS
def test_a_comparison_has_a_line_per_figure_and_a_table_per_way_of_measuring(width):
    old = [_named(record, _LONGEST) for record in records.ALL]
    shown = list(tables.compared(compare(old, old[1:], 0.05)))
    assert [table.title.splitlines()[1] for table in shown] == [
        "device, litert, 1 threads, batch 1, xnnpack",
        "emulated-instructions, litert, 1 threads, batch 1, xnnpack",
        "host, litert, 1 threads, batch 1, xnnpack",
    ]
    for table in shown:
        assert_rows_are_whole(table, width)
