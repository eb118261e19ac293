"""A project file is read strictly, and its model is found like any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agecompact.errors import UsageError
from agecompact.models import draft, project, project_schema, registry
from agecompact.serialization import parse_toml
from tests.own.projects import OWN, write

NETS = """
from torch import nn
import neighbour

class Net(nn.Module):
    def __init__(self, width=4, fails=False):
        super().__init__()
        if fails:
            raise ValueError("no such width")
        self.layer = nn.Linear(3 * 8 * 8, neighbour.outputs(width))

    def forward(self, face):
        return self.layer(face.flatten(1))

def text():
    return "a network"
"""
FILE = """
schema_version = 1
name = "mine"
factory = "nets.py:Net"

[input]
height = 8
width = 8
color_order = "RGB"
value_range = [0.0, 1.0]

[[outputs]]
name = "age"
unit = "years"
"""


@pytest.fixture(autouse=True)
def no_project_is_active(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(project.VARIABLE, "")
    return


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "neighbour.py").write_text("def outputs(width):\n    return 1\n")
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    return path


def test_its_model_is_built_from_the_code_beside_it(file: Path) -> None:
    assert project.activate(file).spec.id == "mine"
    assert type(registry.build("mine")).__name__ == "Net"
    assert os.environ[project.VARIABLE] == str(file)


def test_a_neighbour_does_not_replace_an_installed_module(file: Path) -> None:
    (file.parent / "random.py").write_text("raise SystemExit('replaced')")
    (file.parent / "torch.py").write_text("raise SystemExit('replaced')")
    project.activate(file)
    registry.build("mine")


def changed(part: str, instead: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = path.read_text()
        assert part in content
        path.write_text(content.replace(part, instead))

    return change


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (Path.unlink, "no project file"),
    "not TOML": (lambda path: path.write_text("name ="), "Invalid value"),
    "no version": (changed("schema_version = 1", ""), "schema version None"),
    "another version": (changed("schema_version = 1", "schema_version = 2"), "schema version 2"),
    "no name": (changed('name = "mine"', ""), "a field is missing at name"),
    "a path as name": (changed('"mine"', '"../mine"'), "cannot be the id of a model"),
    "no factory": (changed('factory = "nets.py:Net"', ""), "its weights are not an ONNX file"),
    "no code": (changed("nets.py", "absent.py"), "there is no "),
    "a factory without a name": (changed("nets.py:Net", "nets.py"), "cannot be read: 'nets.py'"),
    "absent weights": (
        changed("[input]", 'weights = "w.pth"\n[input]'),
        "weights that do not exist",
    ),
    "an unknown field": (changed("height = 8", "height = 8\nheigth = 8"), "unknown fields: heigth"),
    "text for a number": (changed("height = 8", 'height = "8"'), "is not an integer"),
    "another colour": (changed('"RGB"', '"HSV"'), "none of BGR, RGB, GREY"),
    "a mean too short": (changed("height = 8", "height = 8\nmean = [0.5]"), "needs 3 numbers"),
    "no outputs": (changed("[[outputs]]", "[[other]]"), "outputs"),
    "bins of one": (
        changed('"years"', '"years"\nreading = { kind = "expectation" }'),
        "reads an answer from several",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_fault(case: str, file: Path) -> None:
    change, message = BAD[case]
    change(file)
    with pytest.raises(UsageError) as refused:
        project.read(file)
    assert message in refused.value.summary


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("nets.py:Net", "nets.py:Absent"), "has no attribute 'Absent'"),
        (changed("nets.py:Net", "nets.py:text"), "returned str"),
        (
            changed("[input]", "[arguments]\nfails = true\n[input]"),
            "ValueError: no such width (nets.py",
        ),
        (
            changed("[input]", "[arguments]\ndepth = 3\n[input]"),
            "unexpected keyword argument 'depth'",
        ),
        (changed("nets.py:Net", "absent_package:Net"), "No module named 'absent_package'"),
    ],
)
def test_a_factory_that_fails_is_an_error_with_its_place(
    change: Callable[[Path], None], message: str, file: Path
) -> None:
    change(file)
    project.activate(file)
    with pytest.raises(UsageError) as refused:
        registry.build("mine")
    assert message in refused.value.summary


def test_code_that_cannot_be_imported_is_an_error_with_its_line(file: Path) -> None:
    (file.parent / "nets.py").write_text("from torch import nn\nprint(undefined)\n")
    project.activate(file)
    with pytest.raises(UsageError, match="cannot import the factory") as refused:
        registry.build("mine")
    assert "NameError: name 'undefined' is not defined (nets.py, line 2)" in refused.value.why


def test_a_name_that_is_taken_is_refused(file: Path) -> None:
    changed('"mine"', '"ssrnet"')(file)
    project.activate(file)
    with pytest.raises(UsageError, match="several models are named 'ssrnet'"):
        registry.get("ssrnet")


def test_two_files_with_one_name_are_refused(file: Path) -> None:
    other = file.with_name("other.toml")
    other.write_text(FILE)
    project.activate(file)
    project.activate(other)
    with pytest.raises(UsageError, match="two project files have a model named 'mine'"):
        registry.get("mine")


def test_the_schema_is_up_to_date_and_accepts_what_is_read(tmp_path: Path) -> None:
    schema = project_schema.generate()
    assert project_schema.PATH.read_text() == project_schema.pretty_json(schema)
    validator = Draft202012Validator(schema)
    for name in OWN:
        folder = tmp_path / name
        folder.mkdir()
        validator.validate(parse_toml(write(folder, name).read_text()))
    assert not validator.is_valid({**parse_toml(FILE), "heigth": 8})


@pytest.mark.parametrize("name", OWN)
def test_a_draft_is_a_project_file_that_says_what_was_seen(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, name)
    project.activate(path)
    contract = registry.get(name).contract
    seen = draft.look_at(registry.build(name).eval(), side=contract.height)
    assert (seen.channels, seen.side) == (contract.channels, contract.height)
    text = draft.draft("drafted", f"nets.py:{OWN[name].network.__name__}", "best.pth", {}, seen)
    drafted = tmp_path / "drafted.toml"
    drafted.write_text(text)
    found = project.read(drafted).spec.contract
    assert sorted(o.size for o in found.outputs) == sorted(o.size for o in contract.outputs)
    assert found.color_order == contract.color_order
