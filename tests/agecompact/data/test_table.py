"""Tables come back as they were written, whatever program wrote them; damage names its line."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import table
from agecompact.data.table import (
    NOT_A_CELL,
    NOT_AN_OBJECT,
    OTHER_COLUMNS,
    TableError,
    decode,
    parse_csv,
    parse_json_lines,
)

WANTED = ("path", "age", "box")

# No control characters: they are no part of labels, and csv.writer does not quote some of them.
_CELLS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12).map(str.strip)
_ROWS = st.lists(st.tuples(_CELLS, _CELLS, _CELLS).filter(any), max_size=8)
_BOUNDED = st.text(max_size=60)


@given(
    rows=_ROWS,
    delimiter=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    blank=st.integers(0, 2),
    order=st.permutations(WANTED),
)
def test_csv_comes_back(
    rows: list[tuple[str, str, str]],
    delimiter: str,
    line_end: str,
    quoting: int,
    encoding: str,
    blank: int,
    order: list[str],
) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    stream.write(line_end * blank)
    writer.writerow(name.upper() for name in order)
    for row in rows:
        cells = dict(zip(WANTED, row, strict=True))
        writer.writerow(cells[name] for name in order)
        stream.write(line_end * blank)
    found = parse_csv(decode(stream.getvalue().encode(encoding)), WANTED)
    assert found.columns == tuple(order)
    assert [tuple(row.cells[name] for name in WANTED) for row in found.rows] == rows
    assert [row.line for row in found.rows] == [
        blank + 2 + i * (blank + 1) for i in range(len(rows))
    ]
    assert found.broken == ()
    assert bool(found.notes) == (delimiter != ",")


@given(rows=_ROWS, ascii_only=st.booleans(), line_end=st.sampled_from(["\n", "\r\n"]))
def test_json_lines_come_back(
    rows: list[tuple[str, str, str]], ascii_only: bool, line_end: str
) -> None:
    lines = [json.dumps(dict(zip(WANTED, r, strict=True)), ensure_ascii=ascii_only) for r in rows]
    found = parse_json_lines(line_end.join(lines), WANTED)
    assert [tuple(row.cells[name] for name in WANTED) for row in found.rows] == rows
    assert [row.line for row in found.rows] == list(range(1, len(rows) + 1))


@given(text=_BOUNDED, head=st.sampled_from(["", "path,age\n", "path;age\n", '{"path": "a"}\n']))
def test_no_text_breaks_a_parser(text: str, head: str) -> None:
    for parse in (parse_csv, parse_json_lines):
        try:
            found = parse(head + text, WANTED)
        except TableError:
            continue
        lines = [row.line for row in found.rows] + [line for line, _ in found.broken]
        assert len(set(lines)) == len(lines)
        assert all(1 <= line <= len((head + text).splitlines()) for line in lines)


@given(content=st.binary(max_size=60))
def test_no_bytes_break_the_decoder(content: bytes) -> None:
    try:
        text = decode(content)
    except TableError:
        return
    assert isinstance(text, str)


def test_other_columns_and_their_order_do_not_matter() -> None:
    found = parse_csv('id, Age ,note,PATH\n7,30,"a, b\nc",x.jpg\n8,31,,y.jpg\n', WANTED)
    assert found.columns == ("id", "age", "note", "path")
    assert [(row.line, dict(row.cells)) for row in found.rows] == [
        (2, {"path": "x.jpg", "age": "30"}),
        (4, {"path": "y.jpg", "age": "31"}),
    ]


def test_a_row_of_another_width_is_left_out() -> None:
    found = parse_csv("path,age\na.jpg,30\nb,c.jpg,31\nd.jpg\n", WANTED)
    assert [row.cells["path"] for row in found.rows] == ["a.jpg"]
    assert found.broken == ((3, OTHER_COLUMNS), (4, OTHER_COLUMNS))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('path,age\na.jpg,30\n"b.jpg,31\nc.jpg,32\n', "line 3 has broken quotes"),
        ('path,age\n"a"b.jpg,30\n', "line 2 has broken quotes"),
        ("path,age,AGE\na.jpg,30,31\n", "line 1 names the column 'age' twice"),
        ("path,age\n" + "x" * 100_001 + ",30\n", "line 2 has more than 100,000 characters"),
    ],
)
def test_what_may_hide_other_rows_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(TableError, match=reason):
        parse_csv(text, WANTED)


def test_a_table_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 3)
    for parse in (parse_csv, parse_json_lines):
        with pytest.raises(TableError, match="more than 3 lines"):
            parse("\n" * 4, WANTED)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", NOT_AN_OBJECT),
        ("{", NOT_AN_OBJECT),
        ('{"path": "a", "age": NaN}', NOT_AN_OBJECT),
        ('{"path": "a", "path": "b"}', NOT_AN_OBJECT),
        ('{"path": "\\ud800"}', NOT_AN_OBJECT),
        ('{"path": ' + "[" * 40_000 + "]" * 40_000 + "}", NOT_AN_OBJECT),
        ('{"age": ' + "9" * 5000 + "}", NOT_AN_OBJECT),
        ('{"path": "a", "age": true}', NOT_A_CELL),
        ('{"path": {"a": 1}, "age": 1}', NOT_A_CELL),
        ('{"path": "a", "box": ["1"]}', NOT_A_CELL),
    ],
)
def test_a_bad_json_line_is_left_out(line: str, reason: str) -> None:
    found = parse_json_lines(f'{{"path": "a.jpg", "age": 30}}\n\n{line}\n', WANTED)
    assert [row.line for row in found.rows] == [1]
    assert found.broken == ((3, reason),)


def test_json_values_become_texts() -> None:
    line = '{"Path": " a.jpg ", "age": 30.0, "box": [1, 2.5, 3, 4], "more": {"x": []}}'
    found = parse_json_lines(line, WANTED)
    assert found.columns == ("path", "age", "box", "more")
    assert found.rows[0].cells == {"path": "a.jpg", "age": "30.0", "box": "1 2.5 3 4"}


def test_bytes_that_are_not_text_name_their_line() -> None:
    with pytest.raises(TableError, match="line 3 is not UTF-8"):
        decode("path,age\na.jpg,30\nm\xfcller.jpg,31\n".encode("latin-1"))
    with pytest.raises(TableError, match="UTF-16"):
        decode(b"\xff\xfea")
