"""`preprocessing.json` holds one record for each file, and is read strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agecompact.artifacts import preprocessing
from agecompact.artifacts.preprocessing import Cost
from agecompact.errors import UsageError
from agecompact.serialization import unstructure
from tests.records import PREPROCESSED


def test_a_record_takes_the_place_of_that_of_the_same_file(tmp_path: Path) -> None:
    other = replace(PREPROCESSED, file="other.onnx")
    again = replace(PREPROCESSED, faces=7)
    for record in (PREPROCESSED, other, again):
        path = preprocessing.add(tmp_path, "ssrnet", record)
    assert path == tmp_path / "preprocessing.json"
    assert preprocessing.read(tmp_path, "ssrnet").records == (other, again)
    assert json.loads(path.read_text())["schema_version"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["preprocessing.json"]


def test_without_a_file_or_of_another_model_there_are_none(tmp_path: Path) -> None:
    assert preprocessing.read(tmp_path, "ssrnet").records == ()
    preprocessing.add(tmp_path, "c3ae", PREPROCESSED)
    assert preprocessing.read(tmp_path, "ssrnet").records == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"schema_version": 1', '"schema_version": 2'),
        ('"faces": 1000', '"faces": 0'),
        ('"mean": 13.8', '"mean": -1'),
        ('"file": "w.safetensors"', '"file": "../w"'),
    ],
)
def test_a_wrong_field_is_an_error_that_says_how_to_go_on(
    before: str, after: str, tmp_path: Path
) -> None:
    path = preprocessing.add(tmp_path, "ssrnet", PREPROCESSED)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UsageError) as error:
        preprocessing.read(tmp_path, "ssrnet")
    assert "agecompact preprocessing" in str(error.value)


def test_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = preprocessing.add(tmp_path / "elsewhere", "ssrnet", PREPROCESSED)
    (tmp_path / "preprocessing.json").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="a link"):
        preprocessing.read(tmp_path, "ssrnet")


def test_a_card_has_a_record_or_none() -> None:
    assert preprocessing.of_card({}) is None
    card = {"preprocessing": unstructure(PREPROCESSED)}
    assert preprocessing.of_card(card) == PREPROCESSED
    with pytest.raises(UsageError, match="the preprocessing of a card"):
        preprocessing.of_card({"preprocessing": {"faces": 1}})


def test_the_worst_comes_first_and_what_is_not_finite_before_it() -> None:
    none = Cost(
        mistake="x", kind="range", text="x", mean=None, p99=None, greatest=None, not_finite=9
    )
    record = replace(PREPROCESSED, costs=(*PREPROCESSED.costs[::-1], none))
    assert record.worst_first == (none, *PREPROCESSED.costs)
