"""Own labelled pictures, from a table to each verb that takes data; photos are never squashed."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from skimage import data as images

from agecompact.commands import data, evaluate, train
from agecompact.data import registry, utkface
from agecompact.data.splits import PARTS, split
from agecompact.data.survey import survey
from agecompact.errors import UsageError
from agecompact.faces.files import read_chip
from agecompact.weights import checkpoints
from tests.agecompact.data import synthetic
from tests.support import random_weights

_REAL = os.environ.get("AGECOMPACT_DATA")


def run(verb: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(verb, [str(argument) for argument in arguments])


def succeeded(verb: click.Command, *arguments: object) -> Result:
    result = run(verb, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(verb: click.Command, *arguments: object) -> UsageError:
    error = run(verb, *arguments).exception
    assert isinstance(error, UsageError), error
    return error


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    listed = list(rows)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)
    return path


def write_json_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


_WRITERS = {"csv": write_csv, "jsonl": write_json_lines}


@pytest.fixture
def rows(tiny_utkface: Path) -> list[dict[str, object]]:
    """The labels in the names of `tiny_utkface`, in the parts that UTKFace's split gives them."""
    faces = survey(utkface.read(tiny_utkface), "age").faces
    parts = {face.name: part for part in PARTS for face in split(faces).part(part)}
    return [
        {
            "path": face.name,
            "age": face.label.age,
            "gender": face.label.gender,
            "split": parts[face.name],
        }
        for face in faces
    ]


def test_check_says_how_a_table_was_understood(tmp_path: Path) -> None:
    for seed in range(6):
        synthetic.write(tmp_path / f"{seed}.jpg", seed)
    table = tmp_path / "labels.csv"
    table.write_text(
        "path;age;split;subject;camera\n"
        "0.jpg;20;train;a;x\n1.jpg;30;val;b;x\n2.jpg;40;test;c;x\n"
        "3.jpg;40.5;test;d;x\n4.jpg;50;dev;e;x\nnone.jpg;50;test;f;x\n"
    )
    target = tmp_path / "check.json"
    arguments = ("check", "--dataset", "csv", "--data", table, "--framing", "chip")
    result = succeeded(data.command, *arguments, "-v", "--json", target)
    for line in (
        "labels.csv: semicolons separate the cells",
        "labels.csv: ignored columns: camera",
        "labels.csv: rows left out, 1: the age is not in whole years (line 5: 3.jpg)",
        "  line 7: none.jpg",
        "framing: chips 3",
        "own split: train 1, val 1, test 1",
    ):
        assert line in result.output
    record = json.loads(target.read_text())
    assert record["counts"]["entries"] == 6
    assert record["counts"]["kept"] == record["subjects"] == 3
    assert record["framings"] == {"whole": 3}
    assert record["parts"] == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize("dataset", _WRITERS)
def test_the_split_of_a_table_is_its_own(
    dataset: str, rows: list[dict[str, object]], tiny_utkface: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.symlink_to(tiny_utkface)
    table = _WRITERS[dataset](tmp_path / f"labels.{dataset}", _below(rows, "data"))
    # The pictures are inside the table's folder by name, but not behind the link.
    fixed = ("split", "--dataset", dataset, "--framing", "chip", "--out", tmp_path / "split.json")
    assert "leaves the data folder" in refused(data.command, *fixed, "--data", table).why

    folder.unlink()
    _copy(tiny_utkface, folder)
    result = succeeded(data.command, *fixed, "--data", table)
    assert "own-split" in result.output
    record = json.loads((tmp_path / "split.json").read_text())
    assert (record["protocol"], record["dataset"]) == ("own-split", dataset)
    for part in PARTS:
        named = sorted(f"data/{row['path']}" for row in rows if row["split"] == part)
        assert record["parts"][part] == named


def _below(rows: list[dict[str, object]], folder: str) -> list[dict[str, object]]:
    return [{**row, "path": f"{folder}/{row['path']}"} for row in rows]


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


@pytest.fixture
def album(rows: list[dict[str, object]], tiny_utkface: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_utkface` with the table `labels.csv`."""
    folder = tmp_path / "album"
    _copy(tiny_utkface, folder)
    write_csv(folder / "labels.csv", rows)
    return folder


def _measured(*arguments: object) -> dict[str, Any]:
    result = succeeded(evaluate.command, *arguments, "--json", "-")
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def test_evaluate_gives_what_the_same_faces_give_as_utkface(album: Path, tmp_path: Path) -> None:
    weights = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    table = album / "labels.csv"
    mine = _measured("--weights", weights, "--dataset", "csv", "--framing", "chip", "--data", table)
    # The table lies among the pictures, which UTKFace's reader leaves out.
    theirs = _measured("--weights", weights, "--data", album)
    assert mine["evaluation"]["mae_years"] == theirs["evaluation"]["mae_years"]
    assert mine["evaluation"]["split_sha256"] == theirs["evaluation"]["split_sha256"]
    assert mine["evaluation"]["dataset"] == "csv"


def test_boxes_in_a_photo_give_what_the_chips_give(album: Path, tmp_path: Path) -> None:
    """Ten faces in one photo, each with its box, are the same as ten chips."""
    chips = sorted(album.glob("*.jpg"))[:10]
    photo = np.full((300, 1000, 3), 128, np.uint8)
    rows = []
    for i, path in enumerate(chips):
        image = cv2.imread(str(path))
        x, y = 20 + 90 * i, 40 + 13 * i
        photo[y : y + 64, x : x + 64] = image
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        age = path.name.partition("_")[0]
        rows += [
            {"path": f"{i}.png", "age": age, "split": "test", "box": ""},
            {"path": "photo.png", "age": age, "split": "test", "box": f"{x},{y},64,64"},
        ]
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    weights = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    found = []
    for name, kept in (("chips", rows[::2]), ("boxes", rows[1::2])):
        table = write_csv(tmp_path / f"{name}.csv", kept)
        arguments = ("--dataset", "csv", "--framing", "chip", "--data", table)
        found.append(_measured("--weights", weights, *arguments)["evaluation"])
    assert found[0]["n"] == found[1]["n"] == 10
    assert found[0]["mae_years"] == pytest.approx(found[1]["mae_years"], rel=1e-6)


def test_a_table_without_the_part_is_refused(album: Path, tmp_path: Path) -> None:
    weights = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    names = sorted(album.glob("*.jpg"))[:3]
    rows = [{"path": path.name, "age": 30, "split": "train"} for path in names]
    write_csv(album / "labels.csv", rows)
    fixed = ("--dataset", "csv", "--framing", "chip", "--data", album / "labels.csv")
    for verb, arguments in (
        (evaluate.command, ("--weights", weights)),
        (train.command, ("--recipe", "ssrnet", "--out", tmp_path / "out")),
    ):
        error = refused(verb, *arguments, *fixed)
        assert "part of the split has no face" in error.what
        assert error.why == "the parts have: train 3, val 0, test 0"
    _measured("--weights", weights, *fixed, "--split", "train")


def test_train_on_a_table(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = succeeded(
        train.command,
        *("--recipe", "c3ae-study1", "--out", out, "--epochs", 1, "--set", "batch=8"),
        *("--dataset", "csv", "--data", album / "labels.csv", "--framing", "chip"),
        *("--accelerator", "cpu", "--threads", 1),
    )
    assert "split by the protocol own-split" in result.output
    card = checkpoints.read(out / "c3ae.safetensors").card
    assert card["data"]["name"] == "your CSV table"
    assert card["data"]["framings"] == {"whole": 40}
    assert card["split"]["protocol"] == "own-split"
    assert "--dataset csv" in card["training"]["command"]
    assert "--framing chip" in card["training"]["command"]


# Photos where chips should be.


def _photo(width: int) -> np.ndarray:
    return np.ascontiguousarray(images.astronaut()[:, :width, ::-1])


@pytest.mark.parametrize("width", [512, 400])
def test_photos_named_like_chips_are_refused(width: int, tmp_path: Path) -> None:
    folder = synthetic.utkface(tmp_path / "wild", {"30_1_0_a.jpg": _photo(width)})
    weights = random_weights(tmp_path / "ssrnet.safetensors", "ssrnet")
    for verb, arguments in (
        (data.command, ("check",)),
        (data.command, ("split", "--out", tmp_path / "split.json")),
        (evaluate.command, ("--weights", weights, "--split", "all")),
        (train.command, ("--recipe", "ssrnet", "--out", tmp_path / "out")),
    ):
        error = refused(verb, *arguments, "--data", folder)
        assert error.what == "the pictures are photos, this data set has face chips"
        assert "--framing detect" in error.fix
    result = succeeded(data.command, "check", "--data", folder, "--framing", "detect")
    assert "framing: faces that the detector found 1" in result.output


def test_the_photos_of_a_table_are_detected(tmp_path: Path) -> None:
    synthetic.write(tmp_path / "a.jpg", _photo(400))
    table = write_csv(tmp_path / "labels.csv", [{"path": "a.jpg", "age": 30}])
    result = succeeded(data.command, "check", "--dataset", "csv", "--data", table)
    assert "the detector finds the faces (--framing chip" in result.output
    assert "framing: faces that the detector found 1" in result.output


@pytest.mark.slow
@pytest.mark.skipif(not _REAL, reason="AGECOMPACT_DATA does not name UTKFace")
def test_real_faces_in_photos_are_found_again(tmp_path: Path) -> None:
    """Chips in larger pictures: refused as chips, framed by the detector, and by their boxes."""
    listing = registry.read("utkface", Path(str(_REAL)))
    records = listing.records[:: len(listing.records) // 40][:40]
    rows = []
    for seed, record in enumerate(records):
        chip = read_chip(record.path, registry.get("utkface").framing).chip
        photo = cv2.resize(synthetic.picture(seed), (700, 500))
        photo[150:350, 250:450] = chip
        (tmp_path / record.name).write_bytes(cv2.imencode(".png", photo)[1].tobytes())
        rows.append({"path": record.name, "age": record.label.age, "box": "250,150,200,200"})
    assert "photos" in refused(data.command, "check", "--data", tmp_path).what

    boxed = write_csv(tmp_path / "boxed.csv", rows)
    plain = write_csv(tmp_path / "plain.csv", [{**row, "box": ""} for row in rows])
    weights = checkpoints.released_path("c3ae")
    errors = {}
    for name, arguments in {
        "boxes": ("--dataset", "csv", "--data", boxed),
        "detected": ("--dataset", "csv", "--data", plain),
        "as UTKFace": ("--data", tmp_path, "--framing", "detect"),
    }.items():
        found = _measured("--weights", weights, "--split", "all", *arguments)["evaluation"]
        errors[name] = found["mae_years"]
        assert found["n"] >= 36
    # Squashed, photos gave an MAE above 20 years.
    assert max(errors.values()) < 9, errors
    assert abs(errors["detected"] - errors["boxes"]) < 2, errors
