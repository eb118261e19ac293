"""What projects make of a chip is what the contract makes of it, to the bit, for contracts of all
kinds: Python's code as it is, JavaScript's in Node, and Swift's in translation.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agecompact.contract import Contract, Image
from agecompact.integrate.images import GoldenImage, golden_images
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import write_project
from tests.agecompact.integrate import contracts, swift_as_python
from tests.ios_bench.swift_source import faults

CONTRACTS = ("AREA_BGR", "LINEAR_RGB", "GREY", "INT8", "LEVELS")
# Scale and shift in one step, or in several, round differently.
_ROUNDING = 1e-5
# Of a turned face: OpenCV rounds coordinates to 1/32 pixel.
_FRAMED_LEVELS = 4
_SUFFIXES = {"python": ".onnx", "web": ".onnx", "ios": ".mlpackage"}

Made = Mapping[str, tuple[np.ndarray, np.ndarray]]


def written(platform: str, contract: Contract, folder: Path) -> Path:
    model = folder / f"face{_SUFFIXES[platform]}"
    if platform == "ios":
        model.mkdir()
    else:
        model.write_bytes(b"no model runs here")
    write_project(model, contracts.golden(contract), PLATFORMS[platform], folder / "project")
    return folder / "project"


def check(contract: Contract, image: GoldenImage, made: Made) -> None:
    """Compares pixels and tensors, by input, with the contract's."""
    most = _FRAMED_LEVELS if image.landmarks else 0
    for name, crop in contract.crop(image.chip).items():
        pixels, tensor = made[name]
        difference = pixels.ravel().astype(int) - contract.pixels(crop).ravel()
        assert np.abs(difference).max() <= most, (image.name, name)
        if image.landmarks is None and tensor.size:
            right = contract.tensor(crop).ravel().astype(np.float32)
            np.testing.assert_allclose(tensor.ravel(), right, rtol=0, atol=_ROUNDING)


@pytest.mark.parametrize("name", CONTRACTS)
def test_python(name: str, tmp_path: Path) -> None:
    contract = getattr(contracts, name)
    module = python_module(written("python", contract, tmp_path))
    for image in golden_images(contract):
        chip = image.pixels
        if image.landmarks:
            chip = module.frame(chip, **vars(image.landmarks))
        pixels = module.pixels(chip)
        check(contract, image, {n: (p, module.tensor(p)) for n, p in pixels.items()})


@pytest.mark.parametrize("name", ["AREA_BGR", "LINEAR_RGB"])
def test_python_reads_answers_as_the_contract_says(name: str, tmp_path: Path) -> None:
    contract = getattr(contracts, name)
    module = python_module(written("python", contract, tmp_path))
    random = np.random.default_rng(1)
    values = {o.name: random.random((1, o.size), np.float32) for o in contract.outputs}

    class Session:
        def run(self, names: list[str], inputs: Mapping[str, Any]) -> list[Any]:
            assert set(inputs) == set(contract.input_names)
            return [values[name] for name in names]

    model = module.FaceModel.__new__(module.FaceModel)
    model._session = Session()
    answers = model.answers(golden_images(contract)[1].pixels)
    for output in contract.outputs:
        right = output.answers(values[output.name])[0]
        np.testing.assert_allclose(answers[output.name], right, rtol=1e-6)


def python_module(project: Path) -> Any:
    spec = importlib.util.spec_from_file_location("facemodel", project / "facemodel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_NODE = """
import { readFileSync } from "node:fs";
import { CROPS, frame, pixels, tensor } from "./preprocess.js";
const made = JSON.parse(readFileSync(0)).map(({ width, height, data, points }) => {
  const picture = { width, height, data: Uint8ClampedArray.from(data) };
  const chip = points ? frame(picture, points) : picture;
  return CROPS.map((crop) => {
    const found = pixels(chip, crop);
    return [crop.name, [...found], [...tensor(found)]];
  });
});
console.log(JSON.stringify(made));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
@pytest.mark.parametrize("name", CONTRACTS)
def test_javascript(name: str, tmp_path: Path) -> None:
    contract = getattr(contracts, name)
    project = written("web", contract, tmp_path)
    (project / "main.js").write_text(_NODE)
    images = golden_images(contract)
    pictures = [
        {
            "width": image.pixels.shape[1],
            "height": image.pixels.shape[0],
            "data": _rgbx(image.pixels),
            "points": image.landmarks and list(vars(image.landmarks).values()),
        }
        for image in images
    ]
    done = subprocess.run(
        ["node", "main.js"],
        input=json.dumps(pictures),
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    for image, found in zip(images, json.loads(done.stdout), strict=True):
        check(contract, image, {n: (np.array(p), np.array(t)) for n, p, t in found})


@pytest.mark.parametrize("name", ["AREA_BGR", "LINEAR_RGB", "GREY", "LEVELS"])
def test_swift(name: str, tmp_path: Path) -> None:
    contract = getattr(contracts, name)
    project = written("ios", contract, tmp_path)
    for file in project.rglob("*.swift"):
        assert faults(file.read_bytes()) == [], file
    swift = swift_of(project)
    for image in golden_images(contract):
        check(contract, image, _swift_input(swift, image))


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("Preprocessing", "rgb[i + 2]", "rgb[i]"),
        ("Preprocessing", "crop.left * Double", "0 * Double"),
        ("Resize", "box.width >= width", "box.width < 0"),
        ("Resize", "floor(sum + 0.5)", "floor(sum + 0.25)"),
    ],
)
def test_a_mistake_in_swift_is_seen(file: str, right: str, wrong: str, tmp_path: Path) -> None:
    contract = contracts.AREA_BGR
    project = written("ios", contract, tmp_path)
    source = project / f"Sources/FaceModel/{file}.swift"
    text = source.read_text()
    assert right in text
    source.write_text(text.replace(right, wrong))
    swift = swift_of(project)
    failures = 0
    for image in golden_images(contract):
        if image.name in ("wide", "double"):
            try:
                check(contract, image, _swift_input(swift, image))
            except AssertionError:
                failures += 1
    assert failures


def swift_of(project: Path) -> dict[str, Any]:
    names = ("Framing", "Resize", "Preprocessing")
    sources = project / "Sources" / "FaceModel"
    return swift_as_python.translated([sources / f"{name}.swift" for name in names])


def _swift_input(swift: Mapping[str, Any], image: GoldenImage) -> Made:
    height, width = image.pixels.shape[:2]
    chip = swift_as_python.Picture(width, height, _rgbx(image.pixels))
    if image.landmarks:
        points = [swift["Point"](*point) for point in vars(image.landmarks).values()]
        chip = swift["frame"](chip, *points)
    made = {}
    for crop in swift["crops"]:
        pixels = swift["pixels"](chip, crop)
        tensor = swift["tensor"](pixels) if "tensor" in swift else []
        made[crop.input] = (np.array(pixels), np.array(tensor))
    return made


def _rgbx(image: Image) -> list[int]:
    made: list[int] = np.dstack([image[..., ::-1], image[..., :1]]).ravel().tolist()
    return made
