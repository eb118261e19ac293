"""A split file gives back the split that it was made from, or the reason why it cannot."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import splitfile, splits
from agecompact.data.face import Face
from agecompact.data.splitfile import SplitFile
from agecompact.data.survey import Survey
from agecompact.errors import UsageError
from agecompact.serialization import structure, unstructure, write_versioned
from tests.agecompact.data import synthetic


def survey_of(
    faces: tuple[Face, ...], dropped: Mapping[str, tuple[str, ...]] | None = None
) -> Survey:
    return Survey("utkface", "age", faces, dropped or {})


_FACES = tuple(sorted(synthetic.faces([20] * 30 + [40] * 30), key=lambda face: face.name))
_SURVEY = survey_of(_FACES, {"duplicates": ("copy.jpg",)})
_SPLIT = splits.split(_FACES)
_CONTENT = splitfile.of_split(_SPLIT, _SURVEY, protocol="stratified", fold="single", seed=42)
_PARTS = unstructure(_CONTENT.parts)


def test_a_split_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_versioned(path, _CONTENT)
    content = splitfile.read(path)
    assert content == _CONTENT
    assert content.counts == {"entries": 61, "kept": 60, "duplicates": 1}
    assert splitfile.resolve(content, _SURVEY, "") == _SPLIT
    assert content.sha256 == _SPLIT.sha256
    with pytest.raises(UsageError, match="no split file"):
        splitfile.read(tmp_path / "absent.json")


@given(ages=st.lists(st.integers(0, 100), max_size=60), seed=st.integers())
def test_any_split_comes_back(ages: list[int], seed: int) -> None:
    faces = tuple(synthetic.faces(ages))
    split = splits.split(faces, seed=seed)
    survey = survey_of(faces)
    content = splitfile.of_split(split, survey, protocol="p", fold="f", seed=seed)
    read = structure(json.loads(json.dumps(unstructure(content))), SplitFile, where="")
    assert splitfile.resolve(read, survey, "") == split


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"target": "height"}, "'height' is none of age, gender at target"),
        ({"parts": {"train": []}}, "'parts' must have train, val, test"),
        ({"parts": {**_PARTS, "val": [5]}}, "5 is not text at parts"),
        ({"parts": {**_PARTS, "val": _PARTS["test"][:1]}}, f"listed twice: {_PARTS['test'][0]}"),
        ({"parts": {**_PARTS, "val": []}}, "not the hash of its parts"),
        ({"sha256": "0" * 64}, "not the hash of its parts"),
    ],
)
def test_the_error_of_a_broken_file_names_the_field_and_the_command(
    change: dict[str, object], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({**unstructure(_CONTENT), **change}))
    with pytest.raises(UsageError) as broken:
        splitfile.read(path)
    assert why in broken.value.why
    assert "agecompact data split" in broken.value.fix


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dataset": "fgnet"}, "'utkface', not 'fgnet'"),
        ({"target": "gender"}, "'age', not 'gender'"),
    ],
)
def test_a_split_of_other_data_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        splitfile.resolve(_CONTENT, replace(_SURVEY, **changes), "split.json")


def test_faces_that_are_missing_or_dropped_are_named() -> None:
    gone, broken = _FACES[0].name, _FACES[1].name
    survey = survey_of(_FACES[2:], {"unreadable": (broken,)})
    with pytest.raises(UsageError, match=r"2 faces of split\.json are not in the data") as refused:
        splitfile.resolve(_CONTENT, survey, "split.json")
    assert f"{gone} (no such file)" in refused.value.why
    assert f"{broken} (unreadable)" in refused.value.why


def test_other_pictures_of_the_same_names_are_refused() -> None:
    survey = survey_of((replace(_FACES[0], sha256="0" * 64), *_FACES[1:]))
    with pytest.raises(UsageError, match="made from other pictures"):
        splitfile.resolve(_CONTENT, survey, "split.json")
