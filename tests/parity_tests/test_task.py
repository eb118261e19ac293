"""The error on labelled faces: the figures, what passes and what fails, and the data it takes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from rich.console import Console

from agecompact.artifacts.manifest import Build
from agecompact.console import datasets
from agecompact.data import registry
from agecompact.data.face import spread
from agecompact.errors import GateError, UsageError
from agecompact.faces.files import read_chip
from agecompact.faces.framing import WHOLE
from parity_tests import command
from tests.agecompact.data import synthetic
from tests.parity_tests.editing import in_onnx
from tests.support import CopyBuild

FILE = "ssrnet_float32.onnx"
# Only the gate of the MAE can fail.
LOOSE = """
[[rule]]
reason = "the other gates are tested elsewhere"
max = 100.0
p99 = 100.0
mean = 100.0
searched = 100.0
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 distinct pictures, named as UTKFace names them."""
    files = {f"{5 + 15 * (i % 6)}_{i // 6 % 2}_0_{i:02}.jpg": i for i in range(60)}
    return synthetic.utkface(tmp_path_factory.mktemp("faces"), files)


@pytest.fixture
def build(copy_build: CopyBuild) -> Build:
    return copy_build("ssrnet", "float32.onnx")


def check(build: Build, *arguments: object) -> tuple[str, BaseException | None]:
    words = ["check", build.folder, "--no-search", "--no-localise", *arguments]
    done = CliRunner().invoke(command.command, [str(word) for word in words])
    return done.output, done.exception


def mae_of(build: Build, files: list[Path], ages: Mapping[str, int] | None = None) -> float:
    """The MAE of the ONNX file, by ONNX Runtime and the given ages, or those in the file names."""
    import onnxruntime

    session = onnxruntime.InferenceSession(build.folder / FILE)
    contract = build.manifest.contract
    errors = []
    for file in files:
        chip = read_chip(file, WHOLE).chip
        assert chip is not None
        (age,) = session.run(None, contract.apply(chip))[0].reshape(-1)
        truth = ages[file.name] if ages else int(file.name.partition("_")[0])
        errors.append(abs(age - truth))
    return float(np.mean(errors))


def test_the_mae_of_both_is_printed_and_recorded(build: Build, faces: Path) -> None:
    printed, error = check(build, "--data", faces)
    assert error is None, printed
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    choice = datasets.DataChoice("utkface", faces)
    tested = datasets.load_tested(choice, "age", Console(quiet=True))
    assert row["faces"] == len(tested) > 0
    expected = mae_of(build, [face.path for face in tested])
    assert row["artifact_mae_years"] == pytest.approx(expected, abs=1e-4)
    assert row["reference_mae_years"] == pytest.approx(expected, abs=1e-3)
    difference = abs(row["artifact_mae_years"] - row["reference_mae_years"])
    assert row["mae_years"] == pytest.approx(difference, abs=1e-12)
    assert f"MAE on {len(tested)} labelled faces" in printed
    for figure in ("artifact_mae_years", "reference_mae_years"):
        assert f"{row[figure]:.4f}" in printed


def test_junit_and_markdown_have_both_and_the_difference_with_its_sign(
    build: Build, faces: Path, tmp_path: Path
) -> None:
    in_onnx(older)(build.folder / FILE)
    summary = tmp_path / "summary.md"
    printed, _ = check(build, "--data", faces, "--markdown", summary)
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    own, theirs = row["artifact_mae_years"], row["reference_mae_years"]
    assert abs(own - theirs) > 0.1
    figures = (f"{own:.4f}", f"{theirs:.4f}", f"{own - theirs:+.1e}")
    said = ET.parse(build.folder / "parity.xml").findtext(".//system-out")
    for text in (printed, said, summary.read_text()):
        assert text
        assert all(figure in text for figure in figures)


def test_an_artefact_that_fails_before_the_task_has_its_mae_too(build: Build, faces: Path) -> None:
    in_onnx(older)(build.folder / FILE)
    check(build, "--data", faces)
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    assert row["kind"] == "mismatch"
    tested = datasets.load_tested(datasets.DataChoice("utkface", faces), "age", Console(quiet=True))
    expected = mae_of(build, [face.path for face in tested])
    assert row["artifact_mae_years"] == pytest.approx(expected, abs=1e-4)


def test_without_labelled_faces_no_mae_is_shown(build: Build) -> None:
    printed, _ = check(build)
    assert "labelled faces" not in printed
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    assert (row["artifact_mae_years"], row["reference_mae_years"], row["faces"]) == (None, None, 0)


def older(model: onnx.ModelProto) -> None:
    """Predicts every face five years older."""
    name = model.graph.output[0].name
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([[5.0]]), "five"))
    model.graph.node.append(onnx.helper.make_node("Add", ["before", "five"], [name]))


def test_another_mae_fails_although_the_outputs_pass(
    build: Build, faces: Path, tmp_path: Path
) -> None:
    gates = tmp_path / "loose.toml"
    gates.write_text(LOOSE)
    in_onnx(older)(build.folder / FILE)
    printed, error = check(build, "--data", faces, "--tolerances", gates)
    assert isinstance(error, GateError), printed
    assert f"{FILE} in ONNX Runtime: task: its MAE is " in error.why
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    assert row["kind"] == "task"
    assert row["mae_years"] > row["tolerance"]["mae"]
    assert f"{row['artifact_mae_years']:.4f}" in printed


@pytest.mark.slow
def test_a_data_set_with_several_folds_is_used_whole(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(registry.get("fgnet"), framing=WHOLE)
    monkeypatch.setitem(registry.DATASETS, "fgnet", spec)
    files = {f"{1 + i % 4:03}A{10 + i:02}.JPG": i for i in range(16)}
    folder = synthetic.fgnet(tmp_path / "fgnet", files)
    printed, error = check(build, "--dataset", "fgnet", "--data", folder)
    assert "MAE on 16 labelled faces" in printed, error


@pytest.mark.parametrize("dataset", ["csv", "jsonl"])
def test_a_table_of_labels_gives_the_mae(
    dataset: str, build: Build, faces: Path, tmp_path: Path
) -> None:
    """The ages in the table differ from those in the names, which must not count."""
    files = sorted(faces.iterdir())[::4]
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    ages = {file.name: 90 - int(file.name.partition("_")[0]) for file in files}
    tested = [file for i, file in enumerate(files) if i % 2]
    parts = {file.name: "test" if file in tested else "train" for file in files}
    table = tmp_path / f"labels.{dataset}"
    if dataset == "csv":
        lines = ["path,age,split", *(f"{name},{ages[name]},{parts[name]}" for name in ages)]
    else:
        lines = [
            json.dumps({"path": name, "age": ages[name], "split": parts[name]}) for name in ages
        ]
    table.write_text("\n".join(lines))
    printed, error = check(build, "--dataset", dataset, "--data", table, "--framing", "chip")
    assert f"MAE on {len(tested)} labelled faces" in printed, error
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    expected = mae_of(build, tested, ages)
    assert row["artifact_mae_years"] == pytest.approx(expected, abs=1e-4)


def test_photos_in_a_data_set_of_chips_are_refused(build: Build, tmp_path: Path) -> None:
    photos = {f"{30 + i}_0_0_{i}.jpg": synthetic.picture(i)[:, :120] for i in range(4)}
    folder = synthetic.utkface(tmp_path / "wild", photos)
    _, error = check(build, "--data", folder)
    assert isinstance(error, UsageError)
    assert "--framing detect" in error.fix


def test_a_limit_takes_faces_of_all_ages(build: Build, faces: Path) -> None:
    choice = datasets.DataChoice("utkface", faces)
    few = spread(datasets.load_tested(choice, "age", Console(quiet=True)), 6)
    assert len({face.label.age for face in few}) > 3
    check(build, "--data", faces, "--limit", 6)
    (row,) = json.loads((build.folder / "parity.json").read_text())["results"]
    assert row["faces"] == 6
    expected = mae_of(build, [face.path for face in few])
    assert row["artifact_mae_years"] == pytest.approx(expected, abs=1e-4)


def test_a_data_set_without_the_label_is_refused_before_it_is_read(
    copy_build: CopyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One build predicts an age and the other a gender, which MegaAge-Asian does not have."""
    rows = [(f"{i}.jpg", "30", i) for i in range(10)]
    folder = synthetic.megaage(tmp_path / "megaage", {"train": rows, "test": rows[:2]})
    both = copy_build("ssrnet", "float32.onnx")
    contract = both.manifest.contract
    gender = replace(contract, outputs=(replace(contract.outputs[0], name="gender", unit="score"),))
    builds = [both, replace(both, manifest=replace(both.manifest, contract=gender))]
    monkeypatch.setattr(command, "read_builds", lambda _: builds)
    monkeypatch.setattr("agecompact.data.survey.survey", None)
    _, error = check(both, "--dataset", "megaage", "--data", folder)
    assert isinstance(error, UsageError)
    assert error.what == "the megaage data has no gender"
