"""The name parser against every published oddity, and duplicates before the split."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import utkface
from agecompact.data.utkface import Label, parse_name, target_of
from agecompact.errors import UsageError


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("26_0_2_20170104023102422.jpg.chip.jpg", Label(26, 0)),
        ("100_1_0_20170110183726390.jpg", Label(100, 1)),
        ("39_1_20170116174525125.jpg.chip.jpg", Label(39, 1)),
        ("55_0_0_20170116232725357jpg.chip.jpg", Label(55, 0)),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", Label(24, 0)),
        ("53__0_20170116184028385.jpg", Label(53, None)),
        ("61_3_20170109150557335.jpg", Label(61, None)),
        ("1_1_0_20170109150557335.JPG", Label(1, 1)),
        ("README.md", None),
        ("1_0_0_20170109150557335.txt", None),
        ("999_0_0_20170109150557335.jpg", None),
        ("_0_0_20170109150557335.jpg", None),
        (".26_0_2_20170104023102422.jpg", None),
        ("26.jpg", None),
    ],
)
def test_names(name: str, label: Label | None) -> None:
    assert parse_name(name) == label


@given(st.integers(0, 116), st.integers(0, 1), st.integers(0, 4), st.integers(10**16, 10**17 - 1))
def test_every_regular_name_is_read(age: int, gender: int, race: int, date: int) -> None:
    assert parse_name(f"{age}_{gender}_{race}_{date}.jpg.chip.jpg") == Label(age, gender)


@given(st.text())
def test_no_name_breaks_the_parser(name: str) -> None:
    label = parse_name(name)
    assert label is None or 0 <= label.age <= 120


def test_gender_is_turned_to_the_models_convention() -> None:
    assert [target_of(Label(30, gender), "gender") for gender in (0, 1, None)] == [1, 0, None]


def test_one_of_identical_files_is_kept_and_conflicts_are_dropped(tmp_path: Path) -> None:
    names_by_content = {
        b"alone": ["20_0_0_1.jpg"],
        b"agreeing": ["30_0_0_1.jpg", "30_0_0_2.jpg", "30_0_1_3.jpg"],
        b"two ages": ["40_0_0_1.jpg", "41_0_0_1.jpg"],
        b"two genders": ["50_0_0_1.jpg", "50_1_0_1.jpg"],
        b"no label": ["notes.txt"],
    }
    for content, names in names_by_content.items():
        for name in names:
            (tmp_path / name).write_bytes(content)

    by_age = utkface.read(tmp_path, "age")
    assert [face.name for face in by_age.faces] == ["20_0_0_1.jpg", "30_0_0_1.jpg", "50_0_0_1.jpg"]
    assert (by_age.files, by_age.unlabelled, by_age.duplicates, by_age.conflicting) == (9, 1, 3, 2)

    by_gender = utkface.read(tmp_path, "gender")
    assert [face.name for face in by_gender.faces] == [
        "20_0_0_1.jpg",
        "30_0_0_1.jpg",
        "40_0_0_1.jpg",
    ]
    assert (by_gender.duplicates, by_gender.conflicting) == (3, 2)


def test_a_file_that_is_no_image_decodes_to_none(tmp_path: Path) -> None:
    good, bad = tmp_path / "20_0_0_1.jpg", tmp_path / "30_0_0_1.jpg"
    cv2.imwrite(str(good), np.full((8, 8), 77, np.uint8))
    bad.write_bytes(b"no image")
    faces = utkface.read(tmp_path).faces
    image = utkface.decode(faces[0])
    assert image is not None
    assert image.shape == (8, 8, 3)
    assert utkface.decode(faces[1]) is None


def test_a_missing_folder_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        utkface.read(tmp_path / "absent")


def test_a_folder_without_faces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "face.jpg").touch()
    with pytest.raises(UsageError, match="1 files, none named"):
        utkface.read(tmp_path)
