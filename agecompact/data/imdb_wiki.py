"""IMDB-WIKI: 523,051 photos of celebrities, labelled by Matlab tables.

Rothe et al., DEX, ICCV workshops 2015; data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki. The layout is
`imdb_crop/imdb.mat` and `wiki_crop/wiki.mat`, each a struct of arrays under the key `imdb` or
`wiki`, beside the images named by `full_path`. Ages are computed from crawled data: the year of the
photo minus the date of birth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from agecompact import isolation
from agecompact.data.face import Label
from agecompact.data.listing import BAD_AGE, Collector, Listing, contents
from agecompact.errors import UsageError
from agecompact.imports import import_extra

NO_FACE = "the face score says no face"
SECOND_FACE = "a second face"

_TABLES = ("imdb", "wiki")
_COLUMNS = ("dob", "photo_taken", "full_path", "gender", "face_score", "second_face_score")
_TEXTS = ("full_path", "name")
# Twice those of the larger table, which takes 10 s and 400 MB.
_MOST_ROWS = 1_000_000
_SECONDS = 300.0
_MEMORY_BYTES = 900_000_000
_MINIMUM_SCORE = 1.0
_MAXIMUM_AGE = 100
# Matlab counts days from year 0, Python from year 1.
_MATLAB_DAYS = 366
_MIDDLE_OF_THE_YEAR = 7


def age_of(dob: float, photo_taken: float) -> int | None:
    """The age in whole years; None outside 0..100.

    Args:
        dob: Date of birth, as a Matlab serial day.
        photo_taken: The year. The photo is assumed to date from the middle of it, as is customary.
    """
    if not math.isfinite(dob) or not math.isfinite(photo_taken):
        return None
    days = int(dob) - _MATLAB_DAYS
    if not 1 <= days <= date.max.toordinal():
        return None
    born = date.fromordinal(days)
    age = int(photo_taken) - born.year - (born.month >= _MIDDLE_OF_THE_YEAR)
    return age if 0 <= age <= _MAXIMUM_AGE else None


def read(folder: Path) -> Listing:
    """Lists the photos of one or both tables, in a folder or its subfolders.

    A face's name is `imdb/` or `wiki/` and the path in the table, wherever the table is.

    Raises:
        UsageError: The folder does not exist, has no table or one table twice, or a table cannot be
            read.
        BackendMissingError: SciPy, which reads the tables, is not installed.
    """
    found = Collector("imdb-wiki", folder)
    places = (folder, *(path for path in contents(folder, "IMDB-WIKI") if path.is_dir()))
    tables = [
        (key, at / f"{key}.mat")
        for key in _TABLES
        for at in places
        if (at / f"{key}.mat").is_file()
    ]
    if len(tables) != len({key for key, _ in tables}):
        raise UsageError(
            f"{folder} has one table twice",
            why=", ".join(str(path) for _, path in tables),
            fix="give the folder of one of them with --data",
        )
    for key, path in tables:
        for row in _rows(path, key):
            _take(found, key, path.parent, row)
    return found.listing(
        folder, "imdb_crop/imdb.mat, wiki_crop/wiki.mat and the images beside them"
    )


def _take(found: Collector, key: str, images: Path, row: Mapping[str, Any]) -> None:
    file = row["full_path"]
    name = f"{key}/{file}"
    age = age_of(row["dob"], row["photo_taken"])
    if age is None or not file:
        found.reject(name, BAD_AGE)
    elif not math.isfinite(row["face_score"]) or row["face_score"] <= _MINIMUM_SCORE:
        found.reject(name, NO_FACE)
    elif not math.isnan(row["second_face_score"]):
        found.reject(name, SECOND_FACE)
    else:
        gender = int(row["gender"]) if row["gender"] in (0, 1) else None
        found.add_listed(name, images / file, Label(age, gender, row["name"] or None))


def _rows(path: Path, key: str) -> Iterator[dict[str, Any]]:
    try:
        columns = isolation.call(
            f"{__name__}:columns", path, key, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES
        )
    except isolation.IsolationFailure as failure:
        raise UsageError(
            f"cannot read {path}", why=failure.reason, fix="unpack the published archive again"
        ) from None
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def columns(path: str, key: str) -> dict[str, list[Any]]:
    """Reads a table in this process, which a damaged one can crash.

    Args:
        path: The `.mat` file.
        key: Name of its struct.

    Returns:
        Columns of one length by name: `full_path` and `name` are texts, the others numbers.

    Raises:
        BackendMissingError: SciPy is not installed.
        ValueError: The columns differ in length. SciPy raises many other kinds of exceptions.
    """
    table = import_extra("scipy.io", "train").loadmat(path, simplify_cells=True)[key]
    columns = {name: np.atleast_1d(table[name]) for name in _COLUMNS}
    columns["name"] = np.atleast_1d(table.get("name", [""] * len(columns["dob"])))
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1 or max(lengths) > _MOST_ROWS:
        raise ValueError(f"its columns differ in length, or have more than {_MOST_ROWS:,} rows")
    return {
        # An empty cell of a Matlab struct comes as an empty array.
        name: [cell if isinstance(cell, str) else "" for cell in column]
        if name in _TEXTS
        else column.astype(np.float64).tolist()
        for name, column in columns.items()
    }
