"""Wrong arguments are refused before any picture is read, which may take minutes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from agecompact.commands import data, evaluate, train, tune
from agecompact.errors import AgecompactError
from agecompact.models import registry
from agecompact.weights import checkpoints
from tests.agecompact.data import synthetic
from tests.support import random_network

Refuse = Callable[..., str]
VERBS = {"data": data, "evaluate": evaluate, "train": train, "tune": tune}


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Runs a verb, whose arguments must be refused without a survey; returns the error."""

    def survey(*_: object, **__: object) -> None:
        raise AssertionError("the data was read")

    # The package and the function have one name.
    monkeypatch.setattr(importlib.import_module("agecompact.data.survey"), "survey", survey)

    def run(verb: str, *arguments: object) -> str:
        words = [str(argument) for argument in arguments]
        error = CliRunner().invoke(VERBS[verb].command, words).exception
        assert isinstance(error, AgecompactError), repr(error)
        return str(error)

    return run


@pytest.fixture
def people(tmp_path: Path) -> tuple[object, ...]:
    """The options for a data set whose protocol has a fold for each of four people."""
    files = {f"{1 + i % 4:03}A{10 + i:02}.JPG": i for i in range(8)}
    return "--dataset", "fgnet", "--data", synthetic.fgnet(tmp_path / "fgnet", files)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return synthetic.utkface(tmp_path / "utkface", {"20_0_0_a.jpg": 1, "30_1_0_b.jpg": 2})


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.safetensors"
    checkpoints.write(path, random_network("ssrnet"), model_id="ssrnet")
    return path


def test_folds(refuse: Refuse, people: tuple[object, ...], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    for verb, arguments in (
        ("data", ("split", *out)),
        ("evaluate", ("ssrnet",)),
        ("train", ("--recipe", "ssrnet", *out)),
    ):
        assert "has 4 folds" in refuse(verb, *arguments, *people)
        assert "unknown fold '9'" in refuse(verb, *arguments, *people, "--fold", "9")
        assert "unknown protocol" in refuse(verb, *arguments, *people, "--protocol", "stratified")


def test_the_whole_of_a_data_set_needs_no_fold(people: tuple[object, ...]) -> None:
    """FG-NET's pictures here show no face: it is refused after the survey, which has begun."""
    words = [str(word) for word in ("ssrnet", *people, "--split", "all")]
    error = CliRunner().invoke(evaluate.command, words).exception
    assert "8 labelled files, 0 of them not images, 8 without a face" in str(error)


@pytest.fixture
def split_file(faces: Path, tmp_path: Path) -> Path:
    words = ["split", "--data", str(faces), "--out", str(tmp_path / "split.json")]
    assert CliRunner().invoke(data.command, words).exit_code == 0
    return tmp_path / "split.json"


def test_a_split_file_of_another_data_set(
    split_file: Path, refuse: Refuse, people: tuple[object, ...]
) -> None:
    message = refuse("evaluate", "ssrnet", *people, "--split-file", split_file)
    assert "its data set is 'utkface', not 'fgnet'" in message


def test_a_label_that_the_data_set_lacks(refuse: Refuse, people: tuple[object, ...]) -> None:
    assert "the fgnet data has no gender" in refuse("evaluate", "ssrnet-gender", *people)


def test_a_card_without_a_split(refuse: Refuse, faces: Path, teacher: Path) -> None:
    message = refuse("evaluate", "--weights", teacher, "--data", faces, "--update-card")
    assert "does not name the split" in message


def trained(refuse: Refuse, verb: str, recipe: str, faces: Path, out: Path, *more: object) -> str:
    arguments: tuple[object, ...] = ("--recipe", recipe, "--data", faces, "--out", out, *more)
    if verb == "tune":
        study = ("--storage", f"sqlite:///{out.parent}/study.db", "--trials", 1)
        arguments = (*arguments, *study, "--search", "augmentation.flip=true|false")
    return refuse(verb, *arguments)


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_weights_that_a_recipe_needs(
    verb: str, refuse: Refuse, faces: Path, teacher: Path, tmp_path: Path
) -> None:
    backbone = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(3)}, backbone)
    where = (refuse, verb, "mobileagenet", faces, tmp_path / "out")
    assert "starts from published weights" in trained(*where)
    assert "no weights at" in trained(*where, "--backbone", tmp_path / "absent.pth")
    assert "does not fit the trunk of MobileAgeNet" in trained(*where, "--backbone", backbone)
    assert "not 'mobileagenet'" in trained(*where, "--start", teacher)
    assert "uses no teacher" in trained(*where, "--teacher", teacher)
    where = (refuse, verb, "mobileagenet-distilled", faces, tmp_path / "out")
    assert "needs a teacher" in trained(*where)
    assert "cannot start from a SSRNet" in trained(*where, "--teacher", teacher)


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_settings_that_do_not_fit_the_network(
    verb: str, refuse: Refuse, faces: Path, tmp_path: Path
) -> None:
    where = (refuse, verb, "ssrnet", faces, tmp_path / "out")
    assert "'ssrnet' has no 'nosuch'" in trained(*where, "--set", 'stages.0.frozen=["nosuch"]')
    every = sorted({name.partition(".")[0] for name in registry.build("ssrnet").state_dict()})
    frozen = ", ".join(f'"{name}"' for name in every)
    message = trained(*where, "--set", f"stages.0.frozen=[{frozen}]")
    assert "nothing is left to learn" in message
    assert "needs a distribution over age bins" in trained(*where, "--set", "loss=cascade")


def test_a_result_that_cannot_be_written(refuse: Refuse, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = ("evaluate", "ssrnet", "--data", faces, "--json")
    assert "it is a folder" in refuse(*where, tmp_path)
    assert "file is not a folder" in refuse(*where, tmp_path / "file" / "new" / "result.json")


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_a_place_that_cannot_be_written(
    verb: str, refuse: Refuse, faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    message = trained(refuse, verb, "ssrnet", faces, tmp_path / "file" / "out")
    assert "cannot write" in message
    cache = ("--cache", tmp_path / "file" / "cache")
    message = trained(refuse, verb, "ssrnet", faces, tmp_path / "out", *cache)
    assert "cannot write" in message
    assert "--cache" in message
