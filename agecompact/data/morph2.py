"""MORPH album 2: 55,134 police photos of 13,617 people, labelled by a table.

Ricanek and Tesafaye, MORPH, FGR 2006; faceaginggroup.com/morph. The layout is a table such as
`morph_2008_nonCommercial.csv` with the columns id_num, picture_num, dob, doa, race, gender,
facial_hair, age, age_diff, glasses, photo; `photo` repeats person, number, gender and age:
`Album2/009055_1M54.JPG`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

from agecompact.data.face import Label
from agecompact.data.listing import (
    BAD_AGE,
    Collector,
    Listing,
    contents,
    is_file,
    parse_age,
    read_text,
)
from agecompact.errors import UsageError

NO_PHOTO = "the row names no photo"
CONTRADICTION = "the row and the photo's name disagree"

_REQUIRED = ("id_num", "photo")
_NAME = re.compile(r"\d+_\d+([MF])(\d+)\..*", re.IGNORECASE)
_GENDERS = {"f": 0, "m": 1}
_DATES = ("%m/%d/%Y", "%Y-%m-%d", "%m/%d/%y")
_DAYS_PER_YEAR = 365.25


def parse_row(row: Mapping[str, str]) -> Label | None:
    """The label of a row; None if it has no age.

    Args:
        row: Cells by the column's name in lower case. The age is `age`, or else the time between
            `dob` and `doa`, the dates of birth and of arrest.
    """
    age = parse_age(row.get("age", ""))
    if age is None:
        born, taken = (_date(row.get(column, "")) for column in ("dob", "doa"))
        if not born or not taken:
            return None
        age = parse_age(str(int((taken - born).days // _DAYS_PER_YEAR)))
    if age is None:
        return None
    gender = _GENDERS.get(row.get("gender", "")[:1].lower())
    return Label(age, gender, row["id_num"] or None)


def read(folder: Path) -> Listing:
    """Lists the photos in the folder's table.

    Photos are at the path in the table, or in `Album2/`, relative to the folder.

    Raises:
        UsageError: The folder does not exist, or has not exactly one table with the required
            columns.
    """
    tables = [
        (path, list(_rows(path)))
        for path in contents(folder, "MORPH album 2")
        if path.suffix.lower() == ".csv"
    ]
    usable = [(path, rows) for path, rows in tables if rows and set(_REQUIRED) <= rows[0].keys()]
    if len(usable) != 1:
        raise UsageError(
            f"{len(usable)} tables of MORPH album 2 in {folder}",
            why=f"{len(tables)} *.csv files, {len(usable)} with the columns {', '.join(_REQUIRED)}",
            fix="keep exactly one such table there, as morph_2008_nonCommercial.csv",
        )
    found = Collector("morph2", folder)
    for number, row in enumerate(usable[0][1], start=2):
        # Tables written on Windows use backslashes.
        file = row["photo"].replace("\\", "/").rpartition("/")[2]
        label = parse_row(row)
        if not file:
            found.reject(f"row {number}", NO_PHOTO)
        elif label is None:
            found.reject(file, BAD_AGE)
        elif _contradicts(file, label):
            found.reject(file, CONTRADICTION)
        else:
            found.add_listed(file, _photo(folder, row["photo"], file), label)
    return found.listing(folder, "a *.csv beside Album2/009055_1M54.JPG")


def _contradicts(file: str, label: Label) -> bool:
    match = _NAME.fullmatch(file)
    if not match:
        return False
    gender = _GENDERS[match[1].lower()]
    return int(match[2]) != label.age or label.gender not in (None, gender)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    lines = (line for line in read_text(path).replace("\0", "").splitlines() if line.strip())
    try:
        for row in csv.DictReader(lines):
            # csv gives surplus cells as a list under None, and missing cells as None.
            yield {
                str(name).strip().lower(): (cell or "").strip()
                for name, cell in row.items()
                if name is not None
            }
    except csv.Error as error:
        raise UsageError(
            f"cannot read {path}", why=str(error), fix="save the table again as plain CSV"
        ) from None


def _photo(folder: Path, named: str, file: str) -> Path:
    at = folder / named.replace("\\", "/").lstrip("/")
    return at if is_file(at) else folder / "Album2" / file


def _date(text: str) -> date | None:
    for form in _DATES:
        try:
            return datetime.strptime(text.split(" ")[0], form).date()
        except ValueError:
            continue
    return None
