"""Data sets of random pictures in the published layouts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

from agecompact.contract import Image
from agecompact.data.face import Face, Label
from agecompact.faces.decoding import decode


def picture(seed: int, side: int = 200) -> Image:
    """A picture that resembles that of no other seed: smooth colours, uint8 `(side, side, 3)`."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def jpeg(image: Image, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


# Copies of a picture with other bytes, which still show the same picture.
CHANGES: Mapping[str, Callable[[Image], Image]] = {
    "compressed": lambda image: decode(jpeg(image, 60)),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.0, beta=25),
    "flatter": lambda image: cv2.convertScaleAbs(image, alpha=0.7, beta=10),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "smaller": lambda image: cv2.resize(image, (120, 120), interpolation=cv2.INTER_AREA),
    "grey": lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 8),
}


def write(path: Path, content: bytes | Image | int) -> None:
    """Writes bytes as they are, a picture as JPEG, or the picture of a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, int):
        content = picture(content)
    path.write_bytes(content if isinstance(content, bytes) else jpeg(content))


def utkface(folder: Path, files: Mapping[str, bytes | Image | int]) -> Path:
    for name, content in files.items():
        write(folder / name, content)
    folder.mkdir(exist_ok=True)
    return folder


def fgnet(folder: Path, files: Mapping[str, bytes | Image | int]) -> Path:
    for name, content in files.items():
        write(folder / "images" / name, content)
    (folder / "points").mkdir(parents=True)
    (folder / "points" / "001a02.pts").write_text("version: 1\n")
    return folder


def megaage(folder: Path, parts: Mapping[str, Iterable[tuple[str, str, int]]]) -> Path:
    """Rows are the file, the age's text, and the picture's seed."""
    for part in ("train", "test"):
        rows = list(parts.get(part, ()))
        for column, index in (("name", 0), ("age", 1)):
            path = folder / "list" / f"{part}_{column}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{row[index]}\n" for row in rows))
        for file, _, seed in rows:
            write(folder / part / file, seed)
    return folder


MORPH_COLUMNS = (
    *("id_num", "picture_num", "dob", "doa", "race", "gender"),
    *("facial_hair", "age", "age_diff", "glasses", "photo"),
)


def morph2(folder: Path, rows: Iterable[Mapping[str, str]], missing: Iterable[str] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(MORPH_COLUMNS)]
    for seed, row in enumerate(rows):
        lines.append(",".join(row.get(column, "") for column in MORPH_COLUMNS))
        if row.get("photo") and row["photo"] not in missing:
            write(folder / row["photo"], seed)
    (folder / "morph_2008_nonCommercial.csv").write_text("\r\n".join(lines) + "\r\n")
    return folder


def morph_row(person: str, number: int, gender: str, age: int) -> dict[str, str]:
    photo = f"Album2/{person}_{number}{gender}{age}.JPG"
    return {"id_num": person, "gender": gender, "age": str(age), "photo": photo}


def matlab_day(year: int, month: int, day: int) -> float:
    return float(date(year, month, day).toordinal() + 366)


def imdb_row(path: str, **changes: Any) -> dict[str, Any]:
    return {
        "dob": matlab_day(1950, 3, 1),
        "photo_taken": 1980.0,
        "full_path": path,
        "gender": 1.0,
        "name": "Ada Lovelace",
        "face_score": 3.2,
        "second_face_score": np.nan,
        **changes,
    }


def imdb_wiki(folder: Path, tables: Mapping[str, list[dict[str, Any]]]) -> Path:
    for key, rows in tables.items():
        at = folder / f"{key}_crop"
        at.mkdir(parents=True)
        imdb_table(at, key, rows)
        for seed, row in enumerate(rows):
            if row["full_path"] and not row["full_path"].startswith("absent"):
                write(at / row["full_path"], seed)
    return folder


def imdb_table(at: Path, key: str, rows: list[dict[str, Any]]) -> None:
    columns: dict[str, Any] = {}
    for column in rows[0]:
        cells = [row[column] for row in rows]
        if isinstance(cells[0], str):
            # A cell array, as Matlab writes it: one row of boxes.
            columns[column] = np.array(cells, object).reshape(1, -1)
        else:
            columns[column] = np.array(cells, np.float64).reshape(1, -1)
    scipy.io.savemat(at / f"{key}.mat", {key: columns})


def grey(folder: Path, name: str, level: int, label: Label) -> Face:
    """A face with a file of one grey level."""
    path = folder / name
    cv2.imwrite(str(path), np.full((16, 16, 3), level, np.uint8))
    return Face(name, path, name, label)


def faces(
    ages: Iterable[int], subjects: Iterable[str | None] | None = None, folder: str = ""
) -> list[Face]:
    """Faces without files."""
    listed = list(ages)
    people = list(subjects) if subjects is not None else [None] * len(listed)
    return [
        Face(name, Path(name), hashlib.sha256(name.encode()).hexdigest(), Label(age, 0, person))
        for index, (age, person) in enumerate(zip(listed, people, strict=True))
        for name in (f"{folder}{index}.jpg",)
    ]
