"""A split file gives back the split that it was made of, or says why it does not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agecompact.data import splitfile, splits
from agecompact.data.splitfile import SplitFile
from agecompact.data.splits import Split
from agecompact.data.survey import Survey
from agecompact.errors import OutputError, UsageError
from tests.agecompact.data import synthetic

_FACES = tuple(sorted(synthetic.faces([20] * 30 + [40] * 30), key=lambda face: face.name))
_SURVEY = Survey("utkface", "age", _FACES, {}, (), (), ("copy.jpg",), (), (), ())
_SPLIT = splits.split(_FACES)


def _content(split: Split = _SPLIT) -> SplitFile:
    return splitfile.of_split(split, _SURVEY, protocol="stratified", fold="single", seed=42)


def test_a_split_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    splitfile.write(path, _content())
    content = splitfile.read(path)
    assert content == _content()
    assert content.counts == {**_SURVEY.counts, "entries": 61, "kept": 60, "duplicates": 1}
    assert splitfile.resolve(content, _SURVEY, "") == _SPLIT
    assert content.sha256 == _SPLIT.sha256


@given(ages=st.lists(st.integers(0, 100), max_size=60), seed=st.integers())
def test_any_split_comes_back(ages: list[int], seed: int) -> None:
    faces = tuple(synthetic.faces(ages))
    split = splits.split(faces, seed=seed)
    survey = Survey("utkface", "age", faces, {}, (), (), (), (), (), ())
    content = splitfile.of_split(split, survey, protocol="p", fold="f", seed=seed)
    text = json.dumps(content.to_json())
    assert splitfile.resolve(splitfile.parse(json.loads(text), ""), survey, "") == split


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
        (_change("schema_version", 2), "schema version is 2, not 1"),
        (_change("schema_version", True), "schema version is True"),
        (_change("schema_version", None), "schema version is None"),
        (_change("dataset", 5), "'dataset' is no text"),
        (_change("target", "height"), "its target is 'height'"),
        (_change("seed", "42"), "'seed' is no whole number"),
        (_change("counts", {"kept": "many"}), "'counts' is no object of whole numbers"),
        (_change("parts", {"train": []}), "'parts' is no object of train, val, test"),
        (_change("parts/val", "a.jpg"), "part 'val' is no list of names"),
        (_change("parts/val", [5]), "part 'val' is no list of names"),
        (_change("parts/val", [_SPLIT.test[0].name]), f"in it twice: {_SPLIT.test[0].name}"),
        (_change("parts/val", []), "do not have the hash"),
        (_change("sha256", "0" * 64), "do not have the hash"),
    ],
)
def test_a_broken_file_says_what_is_wrong(
    change: Callable[[dict[str, Any]], None], why: str
) -> None:
    content = copy.deepcopy(_content().to_json())
    change(content)
    with pytest.raises(UsageError, match=why) as broken:
        splitfile.parse(content, "split.json")
    assert "agecompact data split" in broken.value.fix


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["train", "val", "test", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(key=st.sampled_from(sorted(_content().to_json())), value=_JSON)
def test_no_value_breaks_the_parser(key: str, value: object) -> None:
    content = {**_content().to_json(), key: value}
    try:
        parsed = splitfile.parse(content, "split.json")
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


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split file"):
        splitfile.read(tmp_path / "absent.json")


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        splitfile.write(tmp_path / "file" / "split.json", _content())


@pytest.mark.parametrize(
    ("survey", "why"),
    [
        (Survey("fgnet", "age", _FACES, {}, (), (), (), (), (), ()), "'utkface', not 'fgnet'"),
        (Survey("utkface", "gender", _FACES, {}, (), (), (), (), (), ()), "'age', not 'gender'"),
    ],
)
def test_a_split_of_other_data_is_refused(survey: Survey, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        splitfile.resolve(_content(), survey, "split.json")


def test_faces_that_are_missing_or_dropped_are_named() -> None:
    gone, broken = _FACES[0].name, _FACES[1].name
    survey = Survey("utkface", "age", _FACES[2:], {}, (), (broken,), (), (), (), ())
    with pytest.raises(UsageError, match=r"2 faces of split\.json are not in the data") as refused:
        splitfile.resolve(_content(), survey, "split.json")
    assert f"{gone} (no such file)" in refused.value.why
    assert f"{broken} (unreadable)" in refused.value.why


def test_other_pictures_of_the_same_names_are_refused() -> None:
    from dataclasses import replace

    faces = (replace(_FACES[0], sha256="0" * 64), *_FACES[1:])
    survey = Survey("utkface", "age", faces, {}, (), (), (), (), (), ())
    with pytest.raises(UsageError, match="made of other pictures"):
        splitfile.resolve(_content(), survey, "split.json")
