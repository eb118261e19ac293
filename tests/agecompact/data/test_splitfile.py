"""A split file gives back the split that it was made from, or the reason why it cannot."""

import copy
import json
from collections.abc import Callable, Mapping
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
_JSON_CONTENT = unstructure(_CONTENT)


def test_a_split_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_versioned(path, _CONTENT)
    content = splitfile.read(path)
    assert content == _CONTENT
    assert content.counts == {"entries": 61, "kept": 60, "duplicates": 1}
    assert splitfile.resolve(content, _SURVEY, "") == _SPLIT
    assert content.sha256 == _SPLIT.sha256


@given(ages=st.lists(st.integers(0, 100), max_size=60), seed=st.integers())
def test_any_split_comes_back(ages: list[int], seed: int) -> None:
    faces = tuple(synthetic.faces(ages))
    split = splits.split(faces, seed=seed)
    survey = survey_of(faces)
    content = splitfile.of_split(split, survey, protocol="p", fold="f", seed=seed)
    read = structure(json.loads(json.dumps(unstructure(content))), SplitFile, where="")
    assert splitfile.resolve(read, survey, "") == split


def _change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *folders, key = path.split("/")
        for folder in folders:
            content = content[folder]
        content[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_change("schema_version", 2), "schema version 2"),
        (_change("schema_version", True), "schema version True"),
        (_change("schema_version", None), "schema version None"),
        (_change("dataset", 5), "5 is not text at dataset"),
        (_change("target", "height"), "'height' is none of age, gender at target"),
        (_change("seed", "42"), "'42' is not an integer at seed"),
        (_change("counts", {"kept": "many"}), "'many' is not an integer at counts"),
        (_change("parts", {"train": []}), "'parts' must have train, val, test"),
        (_change("parts/val", "a.jpg"), "'a.jpg' is not a list at parts"),
        (_change("parts/val", [5]), "5 is not text at parts"),
        (_change("parts/val", [_SPLIT.test[0].name]), f"listed twice: {_SPLIT.test[0].name}"),
        (_change("parts/val", []), "not the hash of its parts"),
        (_change("sha256", "0" * 64), "not the hash of its parts"),
    ],
)
def test_the_error_of_a_broken_file_names_the_field_and_the_command(
    change: Callable[[dict[str, Any]], None], why: str, tmp_path: Path
) -> None:
    content = copy.deepcopy(_JSON_CONTENT)
    change(content)
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as broken:
        splitfile.read(path)
    assert why in broken.value.why
    assert "agecompact data split" in broken.value.fix


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["train", "val", "test", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(key=st.sampled_from(sorted(_JSON_CONTENT)), value=_JSON)
def test_no_value_breaks_the_parser(key: str, value: object) -> None:
    try:
        parsed = structure({**_JSON_CONTENT, key: value}, SplitFile, where="split.json")
    except UsageError:
        return
    assert parsed.sha256 == _SPLIT.sha256


@given(content=st.binary(max_size=100) | _JSON.map(lambda v: json.dumps(v).encode()))
def test_no_content_breaks_the_reader(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("split") / "split.json"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        splitfile.read(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split file"):
        splitfile.read(tmp_path / "absent.json")


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
