"""The comparison with other tools: its faces and its table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agecompact.data.face import Face, Label
from agecompact.errors import GateError, UsageError
from tests.bench_peers import faces, rows, table
from tests.bench_peers.__main__ import check_own
from tests.bench_peers.faces import Faces
from tests.bench_peers.peers import BASELINE, PEERS
from tests.bench_peers.rows import Comparison, Figures, Row
from tests.support import REPOSITORY

# The faces.


def face(age: int, number: int) -> Face:
    return Face(f"{age}_{number}.jpg", Path(), f"{age} {number}", Label(age))


def test_calibration_faces_are_spread_evenly_over_the_ages() -> None:
    # Bins of 100, 10 and 2 faces.
    every = [face(26, n) for n in range(100)] + [face(51, n) for n in range(10)]
    every += [face(90, n) for n in range(2)]
    chosen = faces.over_ages(every, 30)
    assert {age: sum(f.label.age == age for f in chosen) for age in (26, 51, 90)} == {
        26: 18,
        51: 10,
        90: 2,
    }
    assert len(set(chosen)) == 30
    assert faces.over_ages(every[::-1], 30) == chosen


def test_fewer_faces_than_wanted_are_all_chosen() -> None:
    assert len(faces.over_ages([face(30, n) for n in range(3)])) == 3


def test_the_calibration_folder_holds_the_chips(tmp_path: Path) -> None:
    picture = np.full((200, 200, 3), (10, 20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "b.png").write_text("broken")
    given = [
        replace(face(30, n), path=tmp_path / name) for n, name in enumerate(("a.png", "b.png"))
    ]
    folder = faces.calibration_folder(given, tmp_path)
    (file,) = folder.iterdir()
    np.testing.assert_array_equal(cv2.imread(str(file)), picture)
    assert faces.calibration_folder(given, tmp_path) == folder
    assert faces.calibration_folder(given[:1], tmp_path) != folder


def test_the_faces_of_a_folder_are_spread_over_it(tmp_path: Path) -> None:
    for level in range(10):
        cv2.imwrite(str(tmp_path / f"{level}.png"), np.full((200, 200, 3), level, np.uint8))
    found = faces.unlabelled(tmp_path, 5)
    assert [int(chip[0, 0, 0]) for chip in found.chips] == [0, 2, 4, 6, 8]
    assert found.ages is None
    with pytest.raises(UsageError, match="no image"):
        faces.unlabelled(tmp_path / "none", 5)


def test_fewer_faces_keep_their_labels() -> None:
    pictures = tuple(np.full((200, 200, 3), level, np.uint8) for level in range(5))
    chips = Faces(pictures, np.array([20.0, 30.0, 40.0, 50.0, 60.0]), "five")
    few = chips.first(2)
    assert few.ages is not None
    assert few.ages.tolist() == [20.0, 40.0]
    np.testing.assert_array_equal(few.chips[1], chips.chips[2])


# The table.

BASE = Figures(
    bytes=200_000,
    faces=500,
    mean_years=1e-5,
    p99_years=1e-4,
    max_years=2e-4,
    mae_change_years=0.0,
    partitions=1,
    fallback_ops=0,
    instructions=8_000_000,
)
HALF = replace(
    BASE,
    bytes=50_000,
    mae_change_years=-0.0123,
    partitions=4,
    fallback_ops=3,
    instructions=2_000_000,
)


def comparison(*found: tuple[str, Figures | str]) -> Comparison:
    made = []
    for peer, result in found:
        figures, failure = (None, result) if isinstance(result, str) else (result, "")
        versions = {"onnx2tf": "1.28.8"}
        made.append(
            Row(
                model="ssrnet",
                peer=peer,
                digest="",
                versions=versions,
                figures=figures,
                failure=failure,
            )
        )
    return Comparison(faces="faces", calibration="others", rows=tuple(made))


def lines(found: Comparison) -> list[list[str]]:
    text = table.document(found).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text if "|" in line]


def test_a_row_has_shares_of_the_plain_float_file() -> None:
    row = lines(comparison((BASELINE, BASE), ("agecompact-int8", HALF)))[3]
    assert row == [
        "ssrnet",
        "agecompact int8",
        "50,000, 25%",
        "2.00 M, 25%",
        "4 + 3 ops",
        "-0.012",
        "1.0e-05",
        "1.0e-04",
        "2.0e-04",
        "500",
        "",
    ]


def test_an_unchanged_mae_has_no_minus() -> None:
    row = lines(comparison((BASELINE, replace(BASE, mae_change_years=-1e-7))))[2]
    assert row[5] == "+0.000"


def test_without_the_plain_float_file_there_are_no_shares() -> None:
    row = lines(comparison((BASELINE, "it failed"), ("agecompact-int8", HALF)))[3]
    assert row[2:4] == ["50,000", "2.00 M"]


def test_a_failure_fills_a_row_with_its_reason() -> None:
    head, _, row = lines(comparison(("litert-torch", "it is not installed")))
    assert row[-1] == "it is not installed"
    assert row[2:-1] == ["-"] * (len(head) - 3)


def test_the_document_states_faces_and_versions() -> None:
    text = table.document(comparison((BASELINE, BASE)))
    assert "on faces; calibrated with others" in text
    assert "onnx2tf 1.28.8" in text


def test_a_comparison_survives_its_file(tmp_path: Path) -> None:
    made = comparison((BASELINE, BASE), ("litert-torch", "it is not installed"))
    rows.write(tmp_path / "peers.json", made)
    assert rows.read(tmp_path / "peers.json") == made


def test_the_page_shows_the_table_of_this_tool() -> None:
    head = table.document(comparison((BASELINE, BASE))).splitlines()[:2]
    text = (REPOSITORY / "docs" / "other-tools.md").read_text(encoding="utf-8")
    assert "\n".join(head) in text
    titles = {peer.title for peer in PEERS.values()}
    shown = [
        line.split(" | ")[1]
        for line in text.split("\n".join(head))[1].split("\n\n")[0].splitlines()[1:]
    ]
    assert set(shown) == titles


def test_only_a_failure_of_our_own_fails_the_run() -> None:
    check_own(comparison((BASELINE, "it failed"), ("agecompact-int8", HALF)))
    with pytest.raises(GateError, match="ssrnet: agecompact int8: it failed"):
        check_own(comparison((BASELINE, BASE), ("agecompact-int8", "it failed")))
