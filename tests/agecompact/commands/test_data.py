"""`agecompact data`, and the options that all verbs on data share."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from agecompact.commands import data
from agecompact.console import datasets as dataset
from agecompact.console.datasets import DataChoice
from agecompact.data import fingerprints, registry, splits, utkface
from agecompact.data.face import Target
from agecompact.data.splits import Split
from agecompact.data.survey import Survey, survey
from agecompact.errors import OutputError, UsageError
from agecompact.faces import files
from agecompact.faces.files import ChipFile
from agecompact.faces.framing import WHOLE, Framing
from tests.agecompact.data import synthetic
from tests.agecompact.data.synthetic import picture


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data.command, [str(a) for a in arguments])


def load(choice: DataChoice, target: Target = "age") -> tuple[Survey, Split]:
    return dataset.load(choice, target, Console(quiet=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{20 + 2 * i}_{i % 2}_0_{i}.jpg": i for i in range(20)}
    return synthetic.utkface(
        tmp_path_factory.mktemp("utkface"),
        {
            **files,
            "20_0_0_copy.jpg": 0,
            "50_0_0_conflict.jpg": 1,
            "26_0_0_near.jpg": picture(3)[:, ::-1].copy(),
            "30_0_0_broken.jpg": b"no image",
            "notes.txt": b"",
        },
    )


def test_check_reports_what_is_there(folder: Path) -> None:
    result = run("check", "--data", folder)
    assert result.exit_code == 0, result.output
    for row in ("entries 25", "kept 19", "the name tells no age 1", "unreadable 1"):
        name, count = row.rsplit(" ", 1)
        assert any(name in line and f" {count} " in line for line in result.output.splitlines())
    assert "ages 20 to 58" in result.output
    assert "people unknown" in result.output
    assert "notes.txt" not in result.output


def test_check_names_files_if_verbose(folder: Path) -> None:
    result = run("check", "--data", folder, "-v")
    assert "rejected: the name tells no age:\n  notes.txt" in result.output
    assert "near duplicates:\n  26_" in result.output


def test_check_json_adds_up_and_names_all(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "check.json"
    assert run("check", "--data", folder, "--json", target).exit_code == 0
    record = json.loads(target.read_text())
    counts = dict(record["counts"])
    assert counts.pop("entries") == sum(counts.values()) == 25
    assert {why: len(names) for why, names in record["dropped"].items()} == {
        why: count for why, count in counts.items() if why != "kept"
    }
    assert record["dropped"]["unreadable"] == ["30_0_0_broken.jpg"]
    assert record["conflicts"] == [["22_1_0_1.jpg", "50_0_0_conflict.jpg"]]
    assert sum(record["ages"]["decades"].values()) == sum(record["genders"].values()) == 19
    assert (record["ages"]["youngest"], record["ages"]["oldest"]) == (20, 58)


def test_the_survey_adds_few_lines_to_a_log(folder: Path) -> None:
    console = Console(record=True, width=100)
    choice = DataChoice("utkface", folder)
    dataset.load_survey(choice, dataset.read_listing(choice, "age"), "age", console)
    lines = [line for line in console.export_text().splitlines() if line.startswith("read ")]
    assert lines[-1] == "read 24 of 24 files"
    assert len(lines) == 4


def test_a_second_survey_decodes_nothing_and_sees_a_replaced_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    faces = synthetic.utkface(tmp_path / "faces", {"20_0_0_a.jpg": 1, "30_0_0_b.jpg": 2})
    decoded: list[bytes] = []
    monkeypatch.setattr(fingerprints, "chip_in", spied(decoded))
    first = load(DataChoice("utkface", faces))
    assert len(decoded) == 2
    assert load(DataChoice("utkface", faces)) == first
    assert len(decoded) == 2
    picture = faces / "30_0_0_b.jpg"
    before = picture.stat()
    picture.write_bytes(synthetic.jpeg(synthetic.picture(3)).ljust(before.st_size, b"\0"))
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    load(DataChoice("utkface", faces))
    assert decoded[2:] == [picture.read_bytes()]


def spied(decoded: list[bytes]) -> Callable[..., ChipFile]:
    def chip_in(content: bytes, framing: Framing) -> ChipFile:
        decoded.append(content)
        return files.chip_in(content, framing)

    return chip_in


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_a_cache_that_cannot_be_written_is_no_failure(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    assert load(DataChoice("utkface", folder))[1].test
    with pytest.raises(OutputError, match="cannot write"):
        load(DataChoice("utkface", folder, cache=Path(place)))


def test_split_writes_what_load_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "split.json"
    result = run("split", "--data", folder, "--out", out, "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.output
    expected = splits.split(survey(utkface.read(folder), "age").faces)
    assert expected.sha256 in result.output
    record = json.loads(out.read_text())
    assert record["sha256"] == expected.sha256
    assert record["counts"]["kept"] == 19
    surveyed, split = load(DataChoice("utkface", folder, split_file=out))
    assert split == expected
    assert surveyed.faces
    assert load(DataChoice("utkface", folder))[1] == expected
    assert str(folder) not in out.read_text()


def test_another_seed_gives_another_split(folder: Path) -> None:
    made = [load(DataChoice("utkface", folder, split_seed=seed))[1] for seed in (1, 2)]
    assert made[0].sha256 != made[1].sha256


def test_a_split_file_is_refused_on_other_files(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.json"
    run("split", "--data", folder, "--out", out)
    other = synthetic.utkface(tmp_path / "other", {"20_0_0_0.jpg": 0})
    with pytest.raises(UsageError, match="are not in the data"):
        load(DataChoice("utkface", other, split_file=out))
    with pytest.raises(UsageError, match="its target is 'age', not 'gender'"):
        load(DataChoice("utkface", folder, split_file=out), "gender")
    with pytest.raises(UsageError, match="leave out --protocol"):
        load(DataChoice("utkface", folder, "stratified", split_file=out))


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    spec = replace(registry.get("fgnet"), framing=WHOLE)
    monkeypatch.setitem(registry.DATASETS, "fgnet", spec)
    files = {f"{1 + i % 4:03}A{i:02}.JPG": i for i in range(16)}
    return synthetic.fgnet(tmp_path / "fgnet", files)


def test_a_protocol_with_several_folds_needs_the_name_of_one(people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 4 folds") as several:
        load(DataChoice("fgnet", people))
    assert several.value.fix == "choose one, such as --fold 001"
    _, split = load(DataChoice("fgnet", people, fold="003"))
    assert {face.label.subject for face in split.test} == {"003"}
    with pytest.raises(UsageError, match="unknown fold '3'"):
        load(DataChoice("fgnet", people, fold="3"))

    arguments = ("split", "--dataset", "fgnet", "--data", people)
    assert run(*arguments, "--all-folds", "--out", tmp_path / "folds").exit_code == 0
    written = sorted((tmp_path / "folds").iterdir())
    assert [path.name for path in written] == ["001.json", "002.json", "003.json", "004.json"]
    again = load(DataChoice("fgnet", people, split_file=written[2]))[1]
    assert again == split
    out = tmp_path / "one.json"
    assert run(*arguments, "--protocol", "random", "--out", out).exit_code == 0
    assert json.loads(out.read_text())["protocol"] == "random"


def test_people_are_counted(people: Path) -> None:
    result = run("check", "--dataset", "fgnet", "--data", people)
    assert "people 4" in result.output
    assert "unknown 16" in result.output


def test_a_verb_gets_its_data_options_as_one_object(tmp_path: Path) -> None:
    got: list[DataChoice] = []

    @click.command()
    @dataset.data_options
    @click.option("--other", type=int)
    def verb(choice: DataChoice, other: int) -> None:
        """Help of the verb."""
        assert other == 5
        got.append(choice)

    invoke: Callable[..., Result] = CliRunner().invoke
    assert "Help of the verb." in invoke(verb, ["--help"]).output
    assert invoke(verb, ["--other", "5"], env={"AGECOMPACT_DATA": None}).exit_code == 2
    result = invoke(verb, ["--other", "5"], env={"AGECOMPACT_DATA": str(tmp_path)})
    assert result.exit_code == 0, result.output
    long = "--dataset fgnet --protocol random --fold x --split-seed 7 --split-file s --cache c"
    invoke(verb, ["--other", "5", "--data", str(tmp_path), *long.split()])
    assert got == [
        DataChoice("utkface", tmp_path),
        DataChoice("fgnet", tmp_path, "random", "x", Path("s"), Path("c"), 7),
    ]
