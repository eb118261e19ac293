"""A network of another package goes through every stage as the shipped ones do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from agecompact.weights import checkpoints
from tests.support import Agecompact, random_weights, write_package

pytestmark = pytest.mark.slow

_SPEC = """
from agecompact.contract import Contract, Crop, Output
from agecompact.models.spec import ModelSpec

SPEC = ModelSpec(
    id="tinyface",
    title="Tiny face network",
    factory="tinyface.network:TinyFace",
    contract=Contract(
        (Crop("photo"),),
        32,
        32,
        "RGB",
        (Output("years", "years"),),
        value_range=(0.0, 1.0),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        interpolation="linear",
    ),
)
"""

_NETWORK = """
from torch import nn


class TinyFace(nn.Module):
    def __init__(self, channels=8):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
        )
        self.hidden = nn.Linear(2 * channels, 12)
        self.age = nn.Linear(12, 1)

    def forward(self, photo):
        pooled = self.features(photo).mean(dim=(2, 3))
        return self.age(self.hidden(pooled).relu())
"""

_RECIPE = """
model = "tinyface"
source = "mine"
epochs = 1
batch = 8
loss = "smooth_l1"
stages = [{ share = 1.0, rate = 0.01 }]
"""


class _Outside(NamedTuple):
    """The installed package: the environment that finds it, its weights, and their build."""

    env: Mapping[str, str]
    weights: Path
    build: Path


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory, agecompact: Agecompact) -> _Outside:
    folder = tmp_path_factory.mktemp("outside")
    site = folder / "site"
    modules = {"spec": _SPEC, "network": _NETWORK}
    write_package(site, "tinyface", modules, {"tinyface": "tinyface.spec:SPEC"})
    env = {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        weights = random_weights(folder / "mine.safetensors", "tinyface")
    # The tutorial's network is exported in every format.
    two = ("--format", "onnx", "--format", "tflite")
    run = agecompact("export", "--weights", weights, *two, "--out", folder / "build", env=env)
    assert run.returncode == 0, run.stderr
    return _Outside(env, weights, folder / "build")


def test_it_is_listed_without_counts(outside: _Outside, agecompact: Agecompact) -> None:
    run = agecompact("list", "--json", "-", env=outside.env)
    listed = json.loads(run.stdout)["models"][-1]
    assert listed["id"] == "tinyface"
    assert listed["parameters"] is listed["folded_parameters"] is listed["released"] is None
    assert "tinyface" not in agecompact("list", "--json", "-").stdout


def test_it_passes_parity(outside: _Outside, agecompact: Agecompact, tmp_path: Path) -> None:
    target = tmp_path / "parity.json"
    run = agecompact("parity", outside.build, "--json", target, env=outside.env)
    assert run.returncode == 0, run.stdout + run.stderr
    statuses = {
        each["artifact"]: each["status"] for each in json.loads(target.read_text())["results"]
    }
    assert statuses == dict.fromkeys(
        (
            "tinyface_float32.onnx",
            "tinyface_float32.tflite",
            "tinyface_float16.tflite",
        ),
        "passed",
    )


def test_its_artefacts_are_measured(
    outside: _Outside, agecompact: Agecompact, tmp_path: Path
) -> None:
    target = tmp_path / "latency.json"
    run = agecompact("bench", outside.build, "--rounds", 3, "--json", target, env=outside.env)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "tinyface_float32.tflite" in target.read_text()


def test_it_trains(
    outside: _Outside, agecompact: Agecompact, tiny_utkface: Path, tmp_path: Path
) -> None:
    recipe, out = tmp_path / "mine.toml", tmp_path / "out"
    recipe.write_text(_RECIPE)
    run = agecompact(
        *("train", "--recipe", recipe, "--data", tiny_utkface, "--out", out),
        *("--accelerator", "cpu", "--threads", 1),
        env=outside.env,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(outside.env["PYTHONPATH"].partition(os.pathsep)[0])
        trained = checkpoints.read(out / "tinyface.safetensors").network()
    assert type(trained).__name__ == "TinyFace"
