"""Tables that a person wrote: CSV with a header, or JSON lines. What they mean is in `labels`.

Both give rows of texts by column, with the number of the line. A row that stands alone and cannot
be read is left out for a reason. What may hide other rows, such as an open quote, is an error.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agecompact.files import json_value

OTHER_COLUMNS = "the row has more or fewer cells than the header"
NOT_AN_OBJECT = "the line is not a JSON object"
NOT_A_CELL = "a value is neither text nor a number"

MOST_ROWS = 1_000_000
LONGEST_LINE = 100_000

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class TableError(ValueError):
    """The table cannot be read; the text names the line."""


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        line: Number of its first line, from 1.
        cells: Texts by column, stripped. A cell without a value is empty.
    """

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes:
        columns: The names of all columns in lower case, in their order.
        rows: The rows, with the wanted columns only.
        broken: Line and reason of each row that cannot be read.
        notes: What is unusual about the file and was dealt with.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    broken: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()


Parser = Callable[[str, Sequence[str]], Table]


def decode(content: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark, as Excel writes it.

    Raises:
        TableError: It is neither.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                raise TableError("it begins as UTF-16, but is not") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TableError(f"line {line} is not UTF-8") from None


def parse_csv(text: str, wanted: Sequence[str]) -> Table:
    """Parses CSV whose first line names the columns, with commas, semicolons or tabs between cells.

    Args:
        text: The content of the file, with any line ends.
        wanted: Columns to keep.

    Raises:
        TableError: It has no header or names a column twice, a quote stays open, or it has too many
            rows or too long a line.
    """
    lines = list(_lines(text))
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    # The delimiter that gives the most wanted columns; a comma if several do.
    headers = {mark: _header(lines[first : first + 1], mark) for mark in _DELIMITERS}
    delimiter = max(headers, key=lambda mark: len(set(wanted) & set(headers[mark])))
    columns = headers[delimiter]
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise TableError(f"line {first + 1} names the column '{twice[0]}' twice")
    places = [(name, columns.index(name)) for name in wanted if name in columns]
    rows, broken = [], []
    for line, cells in _records(lines[first + 1 :], delimiter, first + 1):
        if len(cells) != len(columns):
            broken.append((line, OTHER_COLUMNS))
        else:
            rows.append(Row(line, {name: cells[place].strip() for name, place in places}))
    notes = () if delimiter == "," else (f"{_DELIMITERS[delimiter]} separate the cells",)
    return Table(tuple(columns), tuple(rows), tuple(broken), notes)


def parse_json_lines(text: str, wanted: Sequence[str]) -> Table:
    """Parses JSON lines: an object per line, its keys the columns.

    A value is text or a number; a list of numbers becomes a text with spaces; null is empty.

    Args:
        text: The content of the file, with any line ends.
        wanted: Columns to keep.

    Raises:
        TableError: It has too many rows or too long a line.
    """
    columns: dict[str, None] = {}
    rows, broken = [], []
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            value = json_value(line)
        # Deep nesting raises a RecursionError.
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            broken.append((number, NOT_AN_OBJECT))
            continue
        named = {name.strip().lower(): cell for name, cell in value.items()}
        columns |= dict.fromkeys(named)
        try:
            cells = {name: _cell(named.get(name)) for name in wanted}
        except TypeError:
            broken.append((number, NOT_A_CELL))
        else:
            rows.append(Row(number, cells))
    return Table(tuple(columns), tuple(rows), tuple(broken))


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, which end as in any of the usual systems; not at exotic separators."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if number > MOST_ROWS:
            raise TableError(f"it has more than {MOST_ROWS:,} lines")
        if len(line) > LONGEST_LINE:
            raise TableError(f"line {number} has more than {LONGEST_LINE:,} characters")
        yield line


def _header(lines: Sequence[str], delimiter: str) -> list[str]:
    try:
        cells = next((cells for _, cells in _records(lines, delimiter, 0)), [])
    except TableError:
        # Quotes before and after another delimiter.
        return []
    return [cell.strip().lower() for cell in cells]


def _records(lines: Sequence[str], delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TableError(f"line {line} has broken quotes, {error}") from None
        if any(cell.strip() for cell in cells):
            yield line, cells


def _cell(value: Any) -> str:
    """The text of a JSON value.

    Raises:
        TypeError: It is an object, a truth value, or a list of other things than numbers.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(type(item) in (int, float) for item in value):
        return " ".join(map(str, value))
    if type(value) not in (int, float):
        raise TypeError
    return str(value)
