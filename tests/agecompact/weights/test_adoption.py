"""Verbs take state dicts of their model, and every fix about a weights file leads on."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from torch import Tensor

from agecompact.errors import AgecompactError
from agecompact.models import registry
from agecompact.weights import checkpoints
from agecompact.weights.adoption import weights_file
from parity_tests.inputs import portrait
from tests.agecompact.data import synthetic
from tests.invoking import done, refused, run
from tests.support import random_network

pytestmark = pytest.mark.usefixtures("_in_this_process")
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return dict(random_network("ssrnet").state_dict())


@pytest.fixture
def best(state: State, tmp_path: Path) -> Path:
    """What a training of `DataParallel(network)` saves."""
    path = tmp_path / "runs" / "best.pth"
    path.parent.mkdir()
    held = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 7, "model_state_dict": held}, path)
    return path


@pytest.fixture
def own(state: State, tmp_path: Path) -> Path:
    """The same weights as a weights file."""
    path = tmp_path / "own.safetensors"
    network = registry.build("ssrnet")
    network.load_state_dict(state)
    checkpoints.write(path, network, model_id="ssrnet")
    return path


_NOTES = ("unwrapped 'model_state_dict'", "removed prefix 'module.'", "ignored epoch")


def _says_what_was_unwrapped(result: Result, path: Path) -> None:
    for note in _NOTES:
        assert f"{path}: {note}\n" in result.output


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    files = {f"{5 + 15 * (i % 6)}_{i // 6 % 2}_0_{i:02}.jpg": i for i in range(60)}
    return synthetic.utkface(tmp_path / "faces", files)


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    path = tmp_path / "chip.png"
    cv2.imwrite(str(path), portrait())
    return path


@pytest.mark.slow
def test_it_is_exported(best: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "build"
    arguments = ("--format", "onnx", "--precision", "fp32", "--out", out)
    _says_what_was_unwrapped(done("export", "ssrnet", "--weights", best, *arguments), best)
    built = checkpoints.read(out / "ssrnet" / "ssrnet.safetensors")
    assert built.sha256 == checkpoints.read(own).sha256


@pytest.mark.slow
def test_it_is_evaluated(best: Path, own: Path, faces: Path, tmp_path: Path) -> None:
    where = ("--data", faces, "--split", "all", "--json")
    result = done("evaluate", "ssrnet", "--weights", best, *where, tmp_path / "a.json")
    _says_what_was_unwrapped(result, best)
    done("evaluate", "--weights", own, *where, tmp_path / "b.json")
    found, expected = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    assert found["evaluation"] == expected["evaluation"]
    assert found["measured"]["file"] == "best.pth"
    assert "agecompact-" not in (tmp_path / "a.json").read_text()
    error = refused("evaluate", "ssrnet", "--weights", best, "--data", faces, "--update-card")
    assert str(best) in error.what


def test_it_predicts(best: Path, own: Path, chip: Path) -> None:
    where = (chip, "--no-detect", "--json", "-")
    ages = [
        json.loads(done("predict", *where, *source).stdout)["images"][0]["faces"][0]["age_years"]
        for source in (("--model", "ssrnet", "--weights", best), ("--weights", own))
    ]
    assert ages[0] == ages[1]


def test_it_is_inspected(best: Path, tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    _says_what_was_unwrapped(done("inspect", best, "--model", "ssrnet", "--json", target), best)
    record = json.loads(target.read_text())
    assert (record["file"], record["model"]) == (str(best), "ssrnet")
    assert record["card"]["source"]["file"] == "best.pth"
    assert record["card"]["adopted"] == list(_NOTES)


def test_it_becomes_a_module_of_lemur(best: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "nn"
    _says_what_was_unwrapped(
        done("lemur", "export", "ssrnet", "--weights", best, "--out", out), best
    )
    written = checkpoints.read(out / "SSRNet.safetensors")
    assert written.sha256 == checkpoints.read(own).sha256


def test_a_weights_file_is_recognised_by_its_bytes(own: Path, chip: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    shutil.copy(own, path)
    done("predict", chip, "--no-detect", "--weights", path)
    assert refused("predict", chip, "--weights", _onnx(tmp_path)).fix.startswith("--artifact ")


def _onnx(folder: Path) -> Path:
    path = folder / "model.pth"
    path.write_bytes(b"\x08\x08\x12\x04some")
    return path


def test_the_model_of_a_state_dict_must_be_named(
    best: Path, tmp_path: Path, chip: Path, faces: Path
) -> None:
    error = refused("export", "--weights", best)
    assert error.what == f"{best} does not name its model"
    assert error.why == "it is a state dict that fits ssrnet, ssrnet-gender"
    assert error.fix == f"agecompact export MODEL --weights {best}"
    path = tmp_path / "c3ae.bin"
    torch.save(registry.build("c3ae").state_dict(), path)
    error = refused("export", "--weights", path)
    assert error.fix == f"agecompact export c3ae --weights {path}"
    error = refused("evaluate", "--weights", path, "--data", faces)
    assert error.fix == f"agecompact evaluate c3ae --weights {path}"
    error = refused("predict", chip, "--weights", path)
    assert error.fix == f"agecompact predict {chip} --model c3ae --weights {path}"
    error = refused("inspect", path)
    assert error.fix == f"agecompact inspect {path} --model c3ae"
    # The fix is a command that works.
    done(*shlex.split(error.fix)[1:])


def test_another_model_is_refused_and_named(best: Path, tmp_path: Path) -> None:
    error = refused("export", "c3ae", "--weights", best, "--out", tmp_path)
    assert error.what == f"{best} does not fit 'c3ae'"
    assert "37 of its 37 tensors missing" in error.why
    assert error.fix == "name the model that it fits: ssrnet or ssrnet-gender"
    torch.save(torch.nn.Linear(1, 1).state_dict(), best)
    error = refused("export", "c3ae", "--weights", best, "--out", tmp_path)
    assert "'Add a model'" in error.fix


def _state_dict(path: Path, state: State) -> None:
    torch.save(state, path)


def _safetensors(path: Path, state: State) -> None:
    save_file({name: value.clone() for name, value in state.items()}, path)


def _pickled(path: Path, state: State) -> None:
    network = registry.build("ssrnet")
    network.load_state_dict(state)
    torch.save(network, path)


def _scripted(path: Path, state: State) -> None:
    network = registry.build("ssrnet").eval()
    network.load_state_dict(state)
    torch.jit.trace(network, torch.zeros(1, 3, 64, 64)).save(str(path))  # type: ignore[no-untyped-call]


def _exported(path: Path, state: State) -> None:
    network = registry.build("ssrnet").eval()
    network.load_state_dict(state)
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 64, 64),)), path)


_START = ("train", "--recipe", "ssrnet", "--data", "absent", "--out", "{out}", "--start", "{path}")
_DOORS = {
    "export without a model": ("export", "--weights", "{path}"),
    "weights import": (
        "weights",
        "import",
        "{path}",
        "--model",
        "ssrnet",
        "--out",
        "{out}.safetensors",
    ),
    "inspect": ("inspect", "{path}"),
    "train --start": _START,
    "predict --artifact": ("predict", "face.png", "--artifact", "{path}"),
}
_FILES: dict[str, Callable[[Path, State], None]] = {
    "state dict": _state_dict,
    "safetensors": _safetensors,
    "pickle": _pickled,
    "TorchScript": _scripted,
    "torch.export": _exported,
}


@pytest.mark.parametrize("file", _FILES)
@pytest.mark.parametrize("door", _DOORS)
def test_the_fixes_lead_to_a_weights_file(
    file: str, door: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Does what each fix says until a weights file is written or the verb takes the file."""
    monkeypatch.chdir(tmp_path)
    suffix = ".safetensors" if file == "safetensors" else ".pth"
    path = tmp_path / f"best{suffix}"
    _FILES[file](path, state)
    words = [word.format(path=path, out=tmp_path / "out") for word in _DOORS[door]]
    seen = set()
    while (error := _refusal_of(words)) is not None:
        assert isinstance(error, AgecompactError), error
        assert error.fix not in seen, "a circle"
        seen.add(error.fix)
        words = _followed(error.fix, words, path, tmp_path)
    assert len(seen) <= 3


def _refusal_of(words: list[str]) -> BaseException | None:
    """Why a verb does not take the weights; None if it does."""
    if words[0] == "export" and words[1] == "ssrnet":
        with weights_file(Path(words[3]), words[1], naming=""):
            return None
    error = run(*words).exception
    # It opened the weights, then missed a face or the data, which are not there.
    return None if error and re.search("face.png|absent", str(error)) else error


def _followed(fix: str, words: list[str], path: Path, folder: Path) -> list[str]:
    """The next command of a user who does what a fix says."""
    text, *lines = fix.splitlines()
    if lines:
        exec("\n".join(lines), {})
        new = re.search(r"then name (\S+):$", text)
        assert new
        return [new[1] if word in (str(path), new[1]) else word for word in words]
    if "agecompact " in fix:
        filled = fix.replace("MODEL", "ssrnet").replace("NEW", str(folder / "new"))
        return shlex.split(filled)[1:]
    raise AssertionError(f"nothing to do: {fix}")


def test_a_keras_file_that_is_none_is_not_sent_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros(3)
    fix = refused("export", "ssrnet", "--weights", path).fix
    assert fix.startswith("agecompact weights import")
    command = fix.replace("FAMILY", "ssrnet").replace("NEW", str(tmp_path / "new"))
    error = refused(*shlex.split(command)[1:])
    assert "again" not in error.fix
    assert "weights import" not in error.fix


def test_a_state_dict_starts_a_training_after_its_import(best: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.safetensors"
    record: dict[str, Any] = json.loads(
        done("weights", "import", best, "--model", "ssrnet", "--out", new, "--json", "-").stdout
    )
    assert (record["model"], record["parameters"]) == ("ssrnet", 40_531)
    assert record["adopted"] == list(_NOTES)
    assert checkpoints.read(new).sha256 == record["sha256"]
