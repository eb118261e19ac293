"""Own labelled pictures: a table with the columns path and age, and optional others.

`docs/own-data.md` describes the columns. A table is the word of whoever wrote it: a cell that is
not understood rejects its row, and is never replaced by a guess.
"""

from __future__ import annotations

import math
import os.path
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from agecompact.data import table
from agecompact.data.face import Label
from agecompact.data.listing import BAD_AGE, MAXIMUM_AGE, Collector, Listing, Record, parse_age
from agecompact.data.splits import PARTS, Part
from agecompact.data.table import Parser, Row, Table, TableError
from agecompact.errors import UsageError
from agecompact.faces.detection import FaceBox
from agecompact.files import read_bytes

NO_PATH = "the row names no picture"
PART_OF_A_YEAR = "the age is not in whole years"
BAD_GENDER = "the gender is none of f, m, female, male, 0, 1"
BAD_SPLIT = f"the split is none of {', '.join(PARTS)}"
NO_SUBJECT = "the row names no person, other rows do"
BAD_BOX = "the box is not x, y, width, height in pixels"

REQUIRED = ("path", "age")
COLUMNS = (*REQUIRED, "gender", "split", "subject", "box")

_MOST_BYTES = 2**27
# As the models: `data.face.GENDERS`.
_GENDERS = {"0": 0, "f": 0, "female": 0, "1": 1, "m": 1, "male": 1, "": None, "unknown": None}
_PARTS: Mapping[str, Part] = {
    **{part: part for part in PARTS},
    "training": "train",
    "validation": "val",
    "testing": "test",
}
_SEPARATORS = re.compile(r"\s*[,;\s]\s*")
# No picture that is decoded has a longer side.
_MOST_PIXELS = 2**26
_LAYOUT = (
    "a table with the columns path and age; paths are relative to the table's folder and stay in "
    "it (for pictures elsewhere put the table, or a link to it, into the folder above them)"
)
_FIX = "correct the table; docs/own-data.md describes its columns"

_Value = TypeVar("_Value")


class _RowError(ValueError):
    """A row cannot be used; the text is the reason."""


def read_csv(path: Path) -> Listing:
    """Lists the pictures of a CSV table.

    Args:
        path: The table. Paths in it are relative to its folder, and must not leave that.

    Raises:
        UsageError: The table cannot be read, lacks a column, or has no usable row.
    """
    return _read("csv", path, table.parse_csv)


def read_jsonl(path: Path) -> Listing:
    """Lists the pictures of JSON lines, as `read_csv` does."""
    return _read("jsonl", path, table.parse_json_lines)


def _read(dataset: str, path: Path, parse: Parser) -> Listing:
    if path.is_dir():
        raise UsageError(f"{path} is a folder", fix="give the table itself with --data")
    content = read_bytes(path, most=_MOST_BYTES, fix="give your table with --data")
    try:
        found = parse(table.decode(content), COLUMNS)
    except TableError as error:
        raise UsageError(f"cannot read {path}", why=str(error), fix=_FIX) from None
    if missing := [name for name in REQUIRED if name not in found.columns]:
        raise UsageError(
            f"{path} has no column {' and '.join(missing)}",
            why=f"it has: {', '.join(found.columns[:10]) or 'none'}",
            fix="name the columns in the first line: path,age"
            if dataset == "csv"
            else 'write each line as {"path": "a.jpg", "age": 30}',
        )
    filled = {name for row in found.rows for name, text in row.cells.items() if text}
    collector = Collector(dataset, path.parent)
    for line, reason in found.broken:
        collector.reject(f"line {line}", reason)
    for row in found.rows:
        try:
            collector.add_listed_record(_record(row, path.parent, filled))
        except _RowError as rejected:
            collector.reject(f"line {row.line}: {row.cells['path']}", str(rejected))
    notes = (*_notes(found, filled), *(f"rows left out, {line}" for line in collector.reasons))
    return collector.listing(path, _LAYOUT, tuple(f"{path.name}: {note}" for note in notes))


def _notes(found: Table, filled: set[str]) -> list[str]:
    notes = list(found.notes)
    if others := [name for name in found.columns if name not in COLUMNS]:
        more = f" and {len(others) - 10} more" if len(others) > 10 else ""
        notes.append(f"ignored columns: {', '.join(others[:10])}{more}")
    if empty := [name for name in COLUMNS if name in found.columns and name not in filled]:
        notes.append(f"empty columns: {', '.join(empty)}")
    if any(row.cells.get("gender") in ("0", "1") for row in found.rows):
        notes.append("gender 0 is female and 1 is male, which is not UTKFace's convention")
    return notes


def _record(row: Row, folder: Path, filled: set[str]) -> Record:
    """The entry of a row.

    Args:
        row: The row.
        folder: Where its path begins.
        filled: Columns that have a value in some row. A split and a subject must be in all or none:
            else people or pictures would be in parts that nobody chose.

    Raises:
        _RowError: A cell is missing or not understood.
    """
    cells = row.cells
    name = _name(cells["path"], folder)
    box = _box(cells.get("box", ""))
    label = Label(
        age=_age(cells["age"]),
        gender=_known(_GENDERS, cells.get("gender", ""), BAD_GENDER),
        subject=cells.get("subject", "") or None,
        part=_known(_PARTS, cells["split"], BAD_SPLIT) if "split" in filled else None,
    )
    if label.subject is None and "subject" in filled:
        raise _RowError(NO_SUBJECT)
    entry = name if box is None else f"{name}#{box.x},{box.y},{box.width},{box.height}"
    return Record(entry, folder / name, label, box, f"line {row.line}")


def _name(text: str, folder: Path) -> str:
    """A path relative to the folder, as short as it can be, so that one file has one name."""
    if not text or "\0" in text:
        raise _RowError(NO_PATH)
    # Tables written on Windows use backslashes.
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute():
        return os.path.relpath(path, folder.absolute())
    return os.path.normpath(path)


def _age(text: str) -> int:
    age = parse_age(text)
    if age is not None:
        return age
    try:
        years = float(text)
    except ValueError:
        years = math.nan
    raise _RowError(PART_OF_A_YEAR if 0 <= years <= MAXIMUM_AGE else BAD_AGE)


def _known(values: Mapping[str, _Value], text: str, reason: str) -> _Value:
    if text.lower() not in values:
        raise _RowError(reason)
    return values[text.lower()]


def _box(text: str) -> FaceBox | None:
    if not text:
        return None
    try:
        x, y, width, height = map(float, _SEPARATORS.split(text.strip("[]() ")))
    except ValueError:
        raise _RowError(BAD_BOX) from None
    # NaN fails the comparison.
    if not all(abs(number) <= _MOST_PIXELS for number in (x, y, width, height)):
        raise _RowError(BAD_BOX)
    box = FaceBox(round(x), round(y), round(width), round(height))
    if box.width < 1 or box.height < 1:
        raise _RowError(BAD_BOX)
    return box
