"""The name parser against every published oddity."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import utkface
from agecompact.data.face import Label, target_of
from agecompact.data.utkface import UNNAMED, parse_name
from agecompact.errors import UsageError


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("26_0_2_20170104023102422.jpg.chip.jpg", Label(26, 1)),
        ("100_1_0_20170110183726390.jpg", Label(100, 0)),
        ("39_1_20170116174525125.jpg.chip.jpg", Label(39, 0)),
        ("55_0_0_20170116232725357jpg.chip.jpg", Label(55, 1)),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", Label(24, 1)),
        ("53__0_20170116184028385.jpg", Label(53, None)),
        ("61_3_20170109150557335.jpg", Label(61, None)),
        ("1_1_0_20170109150557335.JPG", Label(1, 0)),
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
    label = parse_name(f"{age}_{gender}_{race}_{date}.jpg.chip.jpg")
    # UTKFace has 0 male, 1 female; the models have it the other way round.
    assert label == Label(age, 1 - gender)
    assert target_of(label, "age") == age
    assert target_of(label, "gender") == 1 - gender


@given(st.text())
def test_no_name_breaks_the_parser(name: str) -> None:
    label = parse_name(name)
    assert label is None or 0 <= label.age <= 120


def test_every_entry_is_a_record_or_rejected(tmp_path: Path) -> None:
    for name in ("30_0_0_1.jpg", "5_1_0_1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    listing = utkface.read(tmp_path)
    assert [record.name for record in listing.records] == ["30_0_0_1.jpg", "5_1_0_1.jpg"]
    assert listing.rejected == {UNNAMED: ("folder", "notes.txt")}


def test_a_missing_folder_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        utkface.read(tmp_path / "absent")


def test_a_folder_without_faces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "face.jpg").touch()
    with pytest.raises(UsageError, match="1: the name tells no age") as refused:
        utkface.read(tmp_path)
    assert "[age]_[gender]_[race]_[date].jpg" in refused.value.fix
