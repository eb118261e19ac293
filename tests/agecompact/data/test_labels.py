"""Own tables: every row becomes a record or is rejected with its line and a reason."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import labels, registry
from agecompact.data.face import Label
from agecompact.data.listing import (
    BAD_AGE,
    LISTED_DIFFERENTLY,
    LISTED_TWICE,
    NO_FILE,
    OUTSIDE,
    Listing,
)
from agecompact.data.table import NOT_A_CELL, OTHER_COLUMNS
from agecompact.errors import UsageError
from agecompact.faces.detection import FaceBox


def csv_file(folder: Path, *lines: str) -> Path:
    """Writes a table and an empty file for each path that its rows may name."""
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in "abcdef":
        (folder / f"{name}.jpg").touch()
    return path


def read(folder: Path, *lines: str) -> Listing:
    return labels.read_csv(csv_file(folder, *lines))


def label_of(folder: Path, columns: str, cells: str) -> Label:
    (record,) = read(folder, f"path,age,{columns}", f"a.jpg,30,{cells}").records
    return record.label


def rejected(folder: Path, columns: str, cells: str) -> Mapping[str, tuple[str, ...]]:
    """The rejections of a row beside a good one that leaves the columns empty."""
    empty = "," * columns.count(",")
    return read(folder, f"path,age,{columns}", f"a.jpg,30,{cells}", f"b.jpg,31,{empty}").rejected


def test_a_table_of_all_columns(tmp_path: Path) -> None:
    listing = read(
        tmp_path,
        "subject,box,path,age,note,split,gender",
        'p1,"10,20,30,40",a.jpg,23,x,train,f',
        "p2,,b.jpg,24.0,,test,1",
    )
    assert listing.dataset == "csv"
    assert [(r.name, r.label, r.box, r.at) for r in listing.records] == [
        ("a.jpg#10,20,30,40", Label(23, 0, "p1", "train"), FaceBox(10, 20, 30, 40), "line 2"),
        ("b.jpg", Label(24, 1, "p2", "test"), None, "line 3"),
    ]
    assert listing.rejected == {}
    assert listing.notes == (
        "labels.csv: ignored columns: note",
        "labels.csv: gender 0 is female and 1 is male, which is not UTKFace's convention",
    )


def test_json_lines_are_read_like_csv(tmp_path: Path) -> None:
    read(tmp_path, "path,age", "a.jpg,1")
    rows = [
        {"path": "a.jpg", "age": 23, "gender": "f", "split": "train", "subject": 1},
        {"path": "b.jpg", "age": 24.0, "gender": 1, "split": "val", "subject": "2"},
        {"path": "c.jpg", "age": "25", "split": "test", "subject": 3, "box": [1, 2, 3.4, 4]},
        {"path": "d.jpg", "age": True},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    listing = registry.read("jsonl", path)
    assert {r.name: r.label for r in listing.records} == {
        "a.jpg": Label(23, 0, "1", "train"),
        "b.jpg": Label(24, 1, "2", "val"),
        "c.jpg#1,2,3,4": Label(25, None, "3", "test"),
    }
    assert listing.rejected == {NOT_A_CELL: ("line 4",)}


@pytest.mark.parametrize(
    ("text", "gender"),
    [
        *((text, 0) for text in ("0", "f", "F", "Female")),
        *((text, 1) for text in ("1", "m", "MALE")),
        *((text, None) for text in ("", "unknown")),
    ],
)
def test_genders(text: str, gender: int | None, tmp_path: Path) -> None:
    assert label_of(tmp_path, "gender", text).gender == gender


@pytest.mark.parametrize("text", ["2", "x", "-1", "0.0", "woman"])
def test_another_gender_rejects_the_row(text: str, tmp_path: Path) -> None:
    assert rejected(tmp_path, "gender", text) == {labels.BAD_GENDER: ("line 2: a.jpg",)}


@pytest.mark.parametrize(
    ("age", "reason"),
    [("23.5", labels.PART_OF_A_YEAR), ("0.1", labels.PART_OF_A_YEAR)]
    + [(age, BAD_AGE) for age in ("", "nan", "inf", "-1", "121", "old", '"23,5"', "1e400")],
)
def test_bad_ages(age: str, reason: str, tmp_path: Path) -> None:
    listing = read(tmp_path, "path,age", f"a.jpg,{age}", "b.jpg,30")
    assert listing.rejected == {reason: ("line 2: a.jpg",)}
    assert listing.notes == (f"labels.csv: rows left out, 1: {reason} (line 2: a.jpg)",)


@pytest.mark.parametrize(
    ("text", "part"),
    [("train", "train"), ("Val", "val"), ("TEST", "test"), ("validation", "val")],
)
def test_parts(text: str, part: str, tmp_path: Path) -> None:
    assert label_of(tmp_path, "split", text).part == part


def test_a_column_is_filled_in_all_rows_or_in_none(tmp_path: Path) -> None:
    """A split or a person for some rows would put the others where nobody chose."""
    assert rejected(tmp_path, "split", "train") == {labels.BAD_SPLIT: ("line 3: b.jpg",)}
    assert rejected(tmp_path, "subject", "p1") == {labels.NO_SUBJECT: ("line 3: b.jpg",)}
    listing = read(tmp_path, "path,age,split,subject", "a.jpg,30,,", "b.jpg,31,,")
    assert {r.label for r in listing.records} == {Label(30), Label(31)}
    assert listing.notes == ("labels.csv: empty columns: split, subject",)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ('"10,20,30,40"', FaceBox(10, 20, 30, 40)),
        ("10 20 30 40", FaceBox(10, 20, 30, 40)),
        ('"[10.4, 19.6, 30, 40]"', FaceBox(10, 20, 30, 40)),
        ('"(-5; 0; 1; 1e2)"', FaceBox(-5, 0, 1, 100)),
    ],
)
def test_boxes(text: str, box: FaceBox, tmp_path: Path) -> None:
    (record,) = read(tmp_path, "path,age,box", f"a.jpg,30,{text}").records
    assert record.box == box


@pytest.mark.parametrize(
    "text",
    [
        *("1 2 3", "1 2 3 4 5", "1 2 3 x", "1 2 0 4", "1 2 3 -4", "1 2 0.2 4"),
        *("nan 2 3 4", "1 2 inf 4", "1e9 2 3 4", '"1,,3,4"'),
    ],
)
def test_bad_boxes(text: str, tmp_path: Path) -> None:
    assert rejected(tmp_path, "box", text) == {labels.BAD_BOX: ("line 2: a.jpg",)}


def test_two_people_in_one_photo_are_two_faces(tmp_path: Path) -> None:
    listing = read(tmp_path, "path,age,box", "a.jpg,30,0 0 9 9", "a.jpg,60,9 0 9 9")
    assert [(r.name, r.label.age) for r in listing.records] == [
        ("a.jpg#0,0,9,9", 30),
        ("a.jpg#9,0,9,9", 60),
    ]


def test_one_file_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.jpg").touch()
    listing = read(
        tmp_path,
        "path,age",
        "a.jpg,30",
        "./a.jpg,30",
        "sub/../b.jpg,30",
        f"{tmp_path}/b.jpg,31",
        "sub\\x.jpg,32",
    )
    assert [r.name for r in listing.records] == ["a.jpg", "sub/x.jpg"]
    assert listing.rejected == {
        LISTED_TWICE: ("line 3: a.jpg",),
        LISTED_DIFFERENTLY: ("line 4: b.jpg", "line 5: b.jpg"),
    }


def test_one_file_in_two_parts_is_left_out(tmp_path: Path) -> None:
    rows = ("a.jpg,30,train", "a.jpg,30,test", "b.jpg,31,test")
    listing = read(tmp_path, "path,age,split", *rows)
    assert listing.rejected == {LISTED_DIFFERENTLY: ("line 2: a.jpg", "line 3: a.jpg")}


def test_paths_stay_in_the_folder_of_the_table(tmp_path: Path) -> None:
    data, secret = tmp_path / "data", tmp_path / "secret"
    data.mkdir()
    secret.mkdir()
    (secret / "x.jpg").touch()
    (data / "link").symlink_to(secret)
    (data / "link.jpg").symlink_to(secret / "x.jpg")
    outside = ("../secret/x.jpg", f"{secret}/x.jpg", "link/x.jpg", "link.jpg")
    missing = ("none.jpg", "x" * 5000, "../none.jpg", "~/a.jpg")
    listing = read(data, "path,age", "a.jpg,30", *(f"{p},30" for p in (*outside, *missing)), ",30")
    assert [r.name for r in listing.records] == ["a.jpg"]
    assert {reason: len(names) for reason, names in listing.rejected.items()} == {
        OUTSIDE: len(outside),
        NO_FILE: len(missing),
        labels.NO_PATH: 1,
    }


def test_a_link_to_the_table_brings_it_to_the_pictures(tmp_path: Path) -> None:
    tables, pictures = tmp_path / "tables", tmp_path / "pictures"
    tables.mkdir()
    pictures.mkdir()
    (tables / "mine.csv").write_text("path,age\nx.jpg,30\n")
    (pictures / "x.jpg").touch()
    (pictures / "mine.csv").symlink_to(tables / "mine.csv")
    with pytest.raises(UsageError, match="no labelled face") as refused:
        labels.read_csv(tables / "mine.csv")
    assert "a link to it" in refused.value.fix
    assert "1: no such file (line 2: x.jpg)" in refused.value.why
    assert [r.name for r in labels.read_csv(pictures / "mine.csv").records] == ["x.jpg"]


def test_rejected_rows_are_in_the_order_of_their_lines(tmp_path: Path) -> None:
    listing = read(tmp_path, "path,age", "a.jpg,30", *("b.jpg,old" for _ in range(12)))
    lines = [name.partition(":")[0] for name in listing.rejected[BAD_AGE]]
    assert lines == [f"line {number}" for number in range(3, 15)]


@pytest.mark.parametrize(
    ("lines", "what", "why"),
    [
        ([""], "no column path and age", "it has: none"),
        (["file,years", "a.jpg,30"], "no column path and age", "it has: file, years"),
        (["path,gender", "a.jpg,f"], "no column age", "it has: path, gender"),
        (["path|age", "a.jpg|30"], "no column path and age", "it has: path|age"),
        (["path,age", '"a.jpg,30'], "cannot read", "line 2 has broken quotes"),
        (["path,age", "a.jpg,old", "b,jpg,30"], "no labelled face", f"{BAD_AGE} (line 2: a.jpg)"),
        (["path,age", "a.jpg,old", "b,jpg,30"], "no labelled face", f"{OTHER_COLUMNS} (line 3)"),
        (["path,age"], "no labelled face", "it has no entry"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    lines: Iterable[str], what: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        read(tmp_path, *lines)
    assert refused.value.fix
    assert why in refused.value.why


def test_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    path = tmp_path / "t.csv"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes("path;age;box\r\na.jpg;30;1,2,3,4\r\n".encode(encoding))
        listing = labels.read_csv(path)
        assert [r.name for r in listing.records] == ["a.jpg#1,2,3,4"]
        assert listing.notes == ("t.csv: semicolons separate the cells",)


def test_a_folder_and_a_table_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder") as folder:
        registry.read("csv", tmp_path)
    assert "the table itself" in folder.value.fix
    with pytest.raises(UsageError) as file:
        registry.read("utkface", csv_file(tmp_path, "path,age"))
    assert "--dataset csv" in file.value.fix


_CELL = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)


@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(labels.COLUMNS, _CELL)), max_size=6))
def test_every_row_is_a_record_or_rejected(
    rows: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "a.jpg").touch()
    good = {"path": "a.jpg", "age": 30, "split": "val", "subject": "s", "box": [1, 1, 5, 5]}
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (good, *rows)))
    listing = labels.read_jsonl(path)
    assert len(listing.records) + listing.rejections == 1 + len(rows)
