"""The readers of all data sets, on small data sets in their layouts."""

import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import fgnet, imdb_wiki, megaage, morph2, registry, utkface
from agecompact.data.face import Label, target_of
from agecompact.data.listing import (
    BAD_AGE,
    BAD_NAME,
    LISTED_DIFFERENTLY,
    LISTED_TWICE,
    NO_FILE,
    OUTSIDE,
    Collector,
    Listing,
    parse_age,
)
from agecompact.errors import UsageError
from tests.agecompact.data import synthetic
from tests.agecompact.data.synthetic import imdb_row, matlab_day, morph_row


def labels(listing: Listing) -> dict[str, Label]:
    return {record.name: record.label for record in listing.records}


@pytest.mark.parametrize("dataset", registry.DATASETS)
def test_the_error_of_a_missing_folder_names_the_option(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        registry.read(dataset, tmp_path / "absent")


@pytest.mark.parametrize("dataset", registry.DATASETS)
def test_an_empty_folder_is_refused(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        registry.read(dataset, tmp_path)


def test_for_an_unknown_data_set_the_nearest_is_suggested() -> None:
    with pytest.raises(UsageError, match="did you mean 'utkface'"):
        registry.get("utk-face")


@pytest.mark.parametrize(
    ("text", "age"),
    [("0", 0), ("23", 23), ("23.0", 23), ("120", 120), ("121", None), ("-1", None)]
    + [(text, None) for text in ("", "23.5", "nan", "inf", "old")],
)
def test_ages(text: str, age: int | None) -> None:
    assert parse_age(text) == age


def test_entries_for_one_file_must_agree(tmp_path: Path) -> None:
    found = Collector("utkface", tmp_path)
    for name, age in (("a", 1), ("b", 2), ("b", 2), ("c", 3), ("c", 4), ("c", 3)):
        found.add(name, tmp_path / name, Label(age))
    listing = found.listing(tmp_path, "")
    assert labels(listing) == {"a": Label(1), "b": Label(2)}
    assert listing.rejected == {LISTED_TWICE: ("b",), LISTED_DIFFERENTLY: ("c", "c", "c")}
    assert listing.rejections + len(listing.records) == 6


# Files outside the data set's folder.


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A face beside the folder `data`, with a name that MORPH accepts."""
    path = tmp_path / "secret" / "000009_0M30.JPG"
    synthetic.write(path, 9)
    return path


def test_megaage_lists_stay_in_the_folder(tmp_path: Path, secret: Path) -> None:
    folder = synthetic.megaage(tmp_path / "data", {"train": [("1.jpg", "23", 1)]})
    (folder / "train" / "link").symlink_to(secret.parent)
    (folder / "train" / "inside.jpg").symlink_to(folder / "train" / "1.jpg")
    outside = (f"../../secret/{secret.name}", f"link/{secret.name}")
    missing = ("x" * 5000, "../../secret/none.jpg")
    names = ("1.jpg", "inside.jpg", *outside, *missing)
    (folder / "list" / "train_name.txt").write_text("\n".join(names))
    (folder / "list" / "train_age.txt").write_text("23\n" * len(names))
    listing = megaage.read(folder)
    assert labels(listing) == {"train/1.jpg": Label(23), "train/inside.jpg": Label(23)}
    assert listing.rejected == {
        OUTSIDE: tuple(sorted(f"train/{name}" for name in outside)),
        NO_FILE: tuple(sorted(f"train/{name}" for name in missing)),
    }


def test_morph_tables_stay_in_the_folder(tmp_path: Path, secret: Path) -> None:
    folder = synthetic.morph2(tmp_path / "data", [morph_row("000001", 0, "M", 30)])
    (folder / "Album2" / "link").symlink_to(secret.parent)
    with (folder / "morph_2008_nonCommercial.csv").open("a") as table:
        for photo in (f"../secret/{secret.name}", f"Album2\\link\\{secret.name}"):
            table.write(f"000009,,,,,M,,30,,,{photo}\n")
    listing = morph2.read(folder)
    assert [record.name for record in listing.records] == ["000001_0M30.JPG"]
    assert listing.rejected == {OUTSIDE: (secret.name, secret.name)}


def test_imdb_tables_stay_in_the_folder(tmp_path: Path, secret: Path) -> None:
    places = (str(secret), f"../../secret/{secret.name}", "01/link/a.jpg")
    rows = [imdb_row("01/a.jpg"), *(imdb_row("absent") | {"full_path": p} for p in places)]
    folder = synthetic.imdb_wiki(tmp_path / "data", {"imdb": rows[:1]})
    link = folder / "imdb_crop" / "01" / "link"
    link.symlink_to(secret.parent)
    (secret.parent / "a.jpg").write_bytes(secret.read_bytes())
    synthetic.imdb_table(folder / "imdb_crop", "imdb", rows)
    listing = imdb_wiki.read(folder)
    assert [record.name for record in listing.records] == ["imdb/01/a.jpg"]
    assert listing.rejected == {OUTSIDE: tuple(sorted(f"imdb/{place}" for place in places))}


def test_links_that_leave_a_folder_of_pictures_are_rejected(tmp_path: Path, secret: Path) -> None:
    data = synthetic.utkface(tmp_path / "data", {"20_0_0_a.jpg": 1})
    (data / "30_0_0_b.jpg").symlink_to(secret)
    (data / "40_0_0_c.jpg").symlink_to(data / "20_0_0_a.jpg")
    # The folder itself may be a link.
    (tmp_path / "link").symlink_to(data)
    for folder in (data, tmp_path / "link"):
        listing = utkface.read(folder)
        assert [r.name for r in listing.records] == ["20_0_0_a.jpg", "40_0_0_c.jpg"]
        assert listing.rejected == {OUTSIDE: ("30_0_0_b.jpg",)}


def test_a_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    synthetic.utkface(tmp_path, {"20_0_0_a.jpg": 1})
    (tmp_path / os.fsdecode(b"30_0_0_\xff.jpg")).write_bytes(b"")
    assert utkface.read(tmp_path).rejected == {BAD_NAME: ("30_0_0_\udcff.jpg",)}


# UTKFace and FG-NET: labels in file names.


@pytest.mark.parametrize(
    ("reader", "name", "label"),
    [
        (utkface, "26_0_2_20170104023102422.jpg.chip.jpg", Label(26, 1)),
        (utkface, "100_1_0_20170110183726390.jpg", Label(100, 0)),
        (utkface, "39_1_20170116174525125.jpg.chip.jpg", Label(39, 0)),
        (utkface, "55_0_0_20170116232725357jpg.chip.jpg", Label(55, 1)),
        (utkface, "24_0_1_20170116220224657 .jpg.chip.jpg", Label(24, 1)),
        (utkface, "53__0_20170116184028385.jpg", Label(53, None)),
        (utkface, "61_3_20170109150557335.jpg", Label(61, None)),
        (utkface, "1_1_0_20170109150557335.JPG", Label(1, 0)),
        (utkface, "README.md", None),
        (utkface, "1_0_0_20170109150557335.txt", None),
        (utkface, "999_0_0_20170109150557335.jpg", None),
        (utkface, "_0_0_20170109150557335.jpg", None),
        (utkface, ".26_0_2_20170104023102422.jpg", None),
        (utkface, "26.jpg", None),
        (fgnet, "001A02.JPG", Label(2, None, "001")),
        (fgnet, "001a43b.jpg", Label(43, None, "001")),
        (fgnet, "082A00.jpeg", Label(0, None, "082")),
        (fgnet, "001A02.pts", None),
        (fgnet, "1A02.JPG", None),
        (fgnet, "001A.JPG", None),
        (fgnet, "001A999.JPG", None),
    ],
)
def test_names(reader: ModuleType, name: str, label: Label | None) -> None:
    assert reader.parse_name(name) == label


@given(st.text())
def test_no_name_breaks_a_parser(name: str) -> None:
    for reader in (utkface, fgnet):
        label = reader.parse_name(name)
        assert label is None or 0 <= label.age <= 120


@given(st.integers(0, 116), st.integers(0, 1), st.integers(0, 4), st.integers(10**16, 10**17 - 1))
def test_every_regular_utkface_name_is_read(age: int, gender: int, race: int, date: int) -> None:
    label = utkface.parse_name(f"{age}_{gender}_{race}_{date}.jpg.chip.jpg")
    # UTKFace has 0 male, 1 female; the models have it the other way round.
    assert label == Label(age, 1 - gender)
    assert target_of(label, "age") == age
    assert target_of(label, "gender") == 1 - gender


def test_every_utkface_entry_is_a_record_or_rejected(tmp_path: Path) -> None:
    for name in ("30_0_0_1.jpg", "5_1_0_1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    listing = utkface.read(tmp_path)
    assert [record.name for record in listing.records] == ["30_0_0_1.jpg", "5_1_0_1.jpg"]
    assert listing.rejected == {utkface.UNNAMED: ("folder", "notes.txt")}


def test_the_error_of_a_folder_without_faces_names_the_layout(tmp_path: Path) -> None:
    (tmp_path / "face.jpg").touch()
    with pytest.raises(UsageError, match="1: the name tells no age") as refused:
        utkface.read(tmp_path)
    assert "[age]_[gender]_[race]_[date].jpg" in refused.value.fix


def test_fgnet_is_read_from_its_folder_or_from_its_images(tmp_path: Path) -> None:
    folder = synthetic.fgnet(tmp_path, {"001A02.JPG": 1, "002A30a.JPG": 2, "Thumbs.db": b""})
    listing = fgnet.read(folder)
    assert labels(listing) == {
        "001A02.JPG": Label(2, None, "001"),
        "002A30a.JPG": Label(30, None, "002"),
    }
    assert listing.rejected == {fgnet.UNNAMED: ("Thumbs.db",)}
    assert fgnet.read(folder / "images") == listing


# MegaAge-Asian


def test_megaage_pairs_names_and_ages(tmp_path: Path) -> None:
    folder = synthetic.megaage(
        tmp_path,
        {
            "train": [("1.jpg", "23", 1), ("2.jpg", "seven", 2), ("3.jpg", "7.0", 3)],
            "test": [("1.jpg", "70", 4), ("2.jpg", "0", 5)],
        },
    )
    (folder / "train" / "3.jpg").unlink()
    listing = megaage.read(folder)
    assert labels(listing) == {
        "train/1.jpg": Label(23),
        "test/1.jpg": Label(70),
        "test/2.jpg": Label(0),
    }
    assert listing.rejected == {BAD_AGE: ("train/2.jpg",), NO_FILE: ("train/3.jpg",)}


def test_megaage_lists_of_different_length_are_refused(tmp_path: Path) -> None:
    folder = synthetic.megaage(tmp_path, {"train": [("1.jpg", "23", 1)]})
    (folder / "list" / "train_age.txt").write_text("23\n24\n")
    with pytest.raises(UsageError, match=r"train_name.txt has 1 lines, train_age.txt 2"):
        megaage.read(folder)


# MORPH album 2


def test_morph_rows_are_people_with_ages(tmp_path: Path) -> None:
    rows = [
        morph_row("009055", 1, "M", 54),
        morph_row("009055", 2, "M", 55),
        {**morph_row("010000", 0, "F", 24), "age": "", "dob": "06/30/1980", "doa": "06/29/2005"},
        {**morph_row("010001", 0, "F", 21), "age": "0x15"},
        {**morph_row("010002", 0, "F", 22), "gender": "?"},
        morph_row("010003", 0, "F", 23),
        {**morph_row("010004", 0, "F", 24), "photo": ""},
        {**morph_row("010005", 0, "F", 25), "age": "26"},
        {**morph_row("010006", 0, "F", 26), "gender": "M"},
    ]
    folder = synthetic.morph2(tmp_path, rows, missing=["Album2/010003_0F23.JPG"])
    listing = morph2.read(folder)
    assert labels(listing) == {
        "009055_1M54.JPG": Label(54, 1, "009055"),
        "009055_2M55.JPG": Label(55, 1, "009055"),
        "010000_0F24.JPG": Label(24, 0, "010000"),
        "010002_0F22.JPG": Label(22, None, "010002"),
    }
    assert listing.rejected == {
        BAD_AGE: ("010001_0F21.JPG",),
        NO_FILE: ("010003_0F23.JPG",),
        morph2.NO_PHOTO: ("row 8",),
        morph2.CONTRADICTION: ("010005_0F25.JPG", "010006_0F26.JPG"),
    }


def test_morph_photos_are_found_below_the_table(tmp_path: Path) -> None:
    folder = synthetic.morph2(tmp_path, [morph_row("000001", 0, "M", 30)])
    table = folder / "morph_2008_nonCommercial.csv"
    for shape in ("\\Album2\\000001_0M30.JPG", "000001_0M30.JPG"):
        table.write_text(f"ID_NUM, Photo ,Age,Gender\n000001,{shape},30,Male\n")
        assert labels(morph2.read(folder)) == {"000001_0M30.JPG": Label(30, 1, "000001")}


def test_morph_needs_one_table(tmp_path: Path) -> None:
    folder = synthetic.morph2(tmp_path, [morph_row("000001", 0, "M", 30)])
    table = folder / "morph_2008_nonCommercial.csv"
    (folder / "eyes.csv").write_text("photo,x\na,1\n")
    assert len(morph2.read(folder).records) == 1
    (folder / "copy.csv").write_bytes(table.read_bytes())
    with pytest.raises(UsageError, match="2 tables"):
        morph2.read(folder)
    table.unlink()
    (folder / "copy.csv").unlink()
    with pytest.raises(UsageError, match="0 tables"):
        morph2.read(folder)


@given(content=st.binary(max_size=200))
def test_no_table_breaks_the_morph_reader(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("morph")
    (folder / "table.csv").write_bytes(b"id_num,photo,age\n" + content)
    with pytest.raises(UsageError):
        morph2.read(folder)


# IMDB-WIKI


@pytest.mark.parametrize(
    ("born", "taken", "age"),
    [
        (matlab_day(1950, 6, 30), 1980, 30),
        (matlab_day(1950, 7, 1), 1980, 29),
        (matlab_day(1950, 1, 1), 1949, None),
        (matlab_day(1850, 1, 1), 1980, None),
        (0.0, 1980, None),
        (365.0, 1980, None),
        (float("nan"), 1980, None),
        (1e12, 1980, None),
        (matlab_day(1950, 1, 1), float("inf"), None),
    ],
)
def test_imdb_ages(born: float, taken: float, age: int | None) -> None:
    assert imdb_wiki.age_of(born, taken) == age


def test_imdb_and_wiki_are_read_side_by_side(tmp_path: Path) -> None:
    tables = {
        "imdb": [
            imdb_row("01/a.jpg"),
            imdb_row("01/b.jpg", gender=0.0, name=""),
            imdb_row("01/c.jpg", gender=np.nan),
            imdb_row("01/d.jpg", face_score=1.0),
            imdb_row("01/e.jpg", face_score=-np.inf),
            imdb_row("01/f.jpg", second_face_score=2.0),
            imdb_row("01/g.jpg", photo_taken=2060.0),
            imdb_row("01/h.jpg", dob=0.0),
            imdb_row("absent.jpg"),
        ],
        "wiki": [imdb_row("17/a.jpg", dob=matlab_day(1900, 12, 31), photo_taken=2000.0)],
    }
    listing = imdb_wiki.read(synthetic.imdb_wiki(tmp_path, tables))
    assert labels(listing) == {
        "imdb/01/a.jpg": Label(30, 1, "Ada Lovelace"),
        "imdb/01/b.jpg": Label(30, 0, None),
        "imdb/01/c.jpg": Label(30, None, "Ada Lovelace"),
        "wiki/17/a.jpg": Label(99, 1, "Ada Lovelace"),
    }
    assert listing.rejected == {
        imdb_wiki.NO_FACE: ("imdb/01/d.jpg", "imdb/01/e.jpg"),
        imdb_wiki.SECOND_FACE: ("imdb/01/f.jpg",),
        BAD_AGE: ("imdb/01/g.jpg", "imdb/01/h.jpg"),
        NO_FILE: ("imdb/absent.jpg",),
    }
    alone = imdb_wiki.read(tmp_path / "wiki_crop")
    assert [record.name for record in alone.records] == ["wiki/17/a.jpg"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no table"),
        lambda path: path.write_bytes(path.read_bytes()[:300]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"dob", b"bod")),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_broken_table_is_refused(spoil, tmp_path: Path) -> None:
    folder = synthetic.imdb_wiki(tmp_path, {"imdb": [imdb_row("a.jpg"), imdb_row("b.jpg")]})
    spoil(folder / "imdb_crop" / "imdb.mat")
    with pytest.raises(UsageError, match=r"imdb\.mat"):
        imdb_wiki.read(folder)


def test_a_table_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imdb_wiki, "_MEMORY_BYTES", 300_000_000)
    path = tmp_path / "wiki.mat"
    scipy.io.savemat(path, {"wiki": {"dob": np.zeros(40_000_000)}}, do_compression=True)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UsageError, match=r"wiki\.mat") as caught:
        imdb_wiki.read(tmp_path)
    assert caught.value.why == "it needs more than 300 MB of memory"


def test_a_crash_of_the_parser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = synthetic.imdb_wiki(
        tmp_path / "data", {"imdb": [imdb_row("a.jpg"), imdb_row("b.jpg")]}
    )
    crashing = tmp_path / "path" / "scipy" / "io.py"
    crashing.parent.mkdir(parents=True)
    crashing.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    (crashing.parent / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'path'}:{Path(__file__).parents[3]}")
    with pytest.raises(UsageError, match=r"imdb\.mat") as caught:
        imdb_wiki.read(folder)
    assert "SIGSEGV" in caught.value.why


def test_a_table_twice_is_refused(tmp_path: Path) -> None:
    folder = synthetic.imdb_wiki(tmp_path, {"imdb": [imdb_row("a.jpg"), imdb_row("b.jpg")]})
    (folder / "imdb").mkdir()
    (folder / "imdb" / "imdb.mat").touch()
    with pytest.raises(UsageError, match="one table twice"):
        imdb_wiki.read(folder)
