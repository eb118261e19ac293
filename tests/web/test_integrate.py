"""Projects for browsers, in one: their golden test passes as it is, and fails with each mistake."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from agecompact.faces.detection import detector
from agecompact.integrate.answers import golden_of
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import write_project
from agecompact.web.serving import serving
from agecompact.weights import checkpoints
from export.command import export
from parity_tests.inputs import portrait
from tests.support import BuildOf

pytestmark = pytest.mark.slow

_TIMEOUT_MS = 60_000
# Years, from PyTorch: rounding in float32.
_SAME = 1e-3
_ENDED = "document.querySelector('[role=status]').textContent !== 'Running'"


@dataclass(frozen=True)
class Visitor:
    """Opens a project that is served, and its golden test."""

    browser: Any
    folder: Path
    address: str

    def open(self, page: str) -> Any:
        opened = self.browser.new_page()
        opened.goto(f"{self.address}/{page}")
        return opened

    def result(self) -> tuple[str, list[str]]:
        """The verdict, and the lines of the test."""
        page = self.open("test.html")
        page.wait_for_function(_ENDED, timeout=_TIMEOUT_MS)
        found = page.inner_text("[role=status]"), page.locator("li").all_inner_texts()
        page.close()
        return found


def visitor(
    browser: Any, model: Path, folder: Path, node_modules: Path
) -> Generator[Visitor, None, None]:
    write_project(model, golden_of(model), PLATFORMS["web"], folder)
    (folder / "node_modules").symlink_to(node_modules)
    with serving(folder) as address:
        yield Visitor(browser, folder, address)


@pytest.fixture(scope="module")
def project(
    browser: Any, node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    """A project for a network with several crops."""
    model = checkpoints.released_path("c3ae").with_suffix(".onnx")
    yield from visitor(browser, model, tmp_path_factory.mktemp("web") / "c3ae", node_modules)


@pytest.fixture(scope="module", params=["onnx", "tflite"])
def built(
    request: pytest.FixtureRequest,
    browser: Any,
    node_modules: Path,
    build_of: BuildOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Visitor]:
    """A project for a file of a build, so that PyTorch's answers are known."""
    model = build_of("ssrnet").folder / f"ssrnet_float32.{request.param}"
    yield from visitor(browser, model, tmp_path_factory.mktemp("web") / "built", node_modules)


def test_a_browser_answers_as_pytorch_does(built: Visitor) -> None:
    verdict, lines = built.result()
    assert verdict == "Passed", lines
    page = built.open("test.html")
    answers = page.evaluate(
        """async () => {
          const { FaceModel, readPicture } = await import("./facemodel.js");
          const model = await FaceModel.load();
          const golden = await (await fetch("golden/golden.json")).json();
          const answers = {};
          for (const { file, landmarks } of golden.images) {
            if (landmarks) continue;
            const picture = await readPicture(await (await fetch(`golden/${file}`)).blob());
            answers[file] = (await model.answers(picture)).age[0];
          }
          return answers;
        }"""
    )
    page.close()
    golden = json.loads((built.folder / "golden" / "golden.json").read_text())
    right = {each["file"]: each["pytorch"]["age"][0] for each in golden["images"]}
    assert len(answers) == 7
    for file, age in answers.items():
        assert age == pytest.approx(right[file], abs=_SAME), file


def test_a_browser_runs_a_file_that_takes_pictures_in_int8(
    browser: Any, node_modules: Path, tmp_path: Path
) -> None:
    wanted = ("--format", "tflite", "--precision", "int8", "--input", "image")
    made = CliRunner().invoke(export, ["c3ae-plain", *wanted, "--out", str(tmp_path)])
    assert made.exit_code == 0, made.exception
    model = tmp_path / "c3ae-plain" / "c3ae-plain_int8.tflite"
    visits = visitor(browser, model, tmp_path / "project", node_modules)
    verdict, lines = next(visits).result()
    visits.close()
    assert verdict == "Passed", lines


def test_its_pixels_are_those_of_opencv(project: Visitor) -> None:
    verdict, lines = project.result()
    assert verdict == "Passed", lines
    pixels = [line for line in lines if "levels" in line and not line.startswith("photo.png")]
    assert len(pixels) == 7 * 3
    assert all(line.endswith("at most 0 levels") for line in pixels), pixels


_BY_CANVAS = """function resize(picture, box) {
  const source = new OffscreenCanvas(picture.width, picture.height);
  source.getContext("2d").putImageData(new ImageData(picture.data, picture.width), 0, 0);
  const context = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, box.x, box.y, box.width, box.height, 0, 0, WIDTH, HEIGHT);
  const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
  return Uint8ClampedArray.from(data.filter((_, i) => i % 4 < 3));
}

function unused(picture, box) {"""


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("[blue, green, red]", "[red, green, blue]", "as if red and blue are swapped"),
        ("const value = pixels[i];", "const value = pixels[i] / 255;", "from 0 to 1"),
        ("function resize(picture, box) {", _BY_CANVAS, ""),
        ("(i % CHANNELS) * WIDTH * HEIGHT + Math.floor(i / CHANNELS)", "i", "into planes"),
        ("halfToEven(crop.left * chip.width)", "0", ""),
        ("[0.305, 0.293]", "[0.355, 0.293]", "photo.png"),
    ],
)
def test_a_mistake_fails_the_test_and_is_named(
    project: Visitor, right: str, wrong: str, named: str
) -> None:
    code = project.folder / "preprocess.js"
    good = code.read_text()
    assert right in good
    code.write_text(good.replace(right, wrong))
    try:
        verdict, lines = project.result()
    finally:
        code.write_text(good)
    assert verdict.startswith("Failed"), lines
    assert any(named in line and "years away" in line for line in lines), lines


def chosen(project: Visitor, picture: Path) -> Any:
    """The page, with a picture chosen and looked at."""
    page = project.open("index.html")
    # A picture that is chosen before the model is there would be lost.
    page.wait_for_selector("input:enabled", timeout=_TIMEOUT_MS)
    page.set_input_files("input", picture)
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('Click')")
    return page


def age_on(page: Any) -> float:
    found = re.search(r"age ([0-9.]+[0-9])", page.inner_text("[role=status]"))
    assert found
    return float(found[1])


def golden_age(project: Visitor) -> float:
    golden = json.loads((project.folder / "golden" / "golden.json").read_text())
    (age,) = golden["images"][0]["answers"]["age"]
    return float(age)


def test_the_page_finds_a_face_and_answers(built: Visitor) -> None:
    page = chosen(built, built.folder / "golden" / "photo.png")
    assert "Face 2" not in page.inner_text("[role=status]")
    age = age_on(page)
    page.close()
    assert age == pytest.approx(golden_age(built), abs=2)


def test_its_eyes_and_mouths_are_those_that_python_finds(project: Visitor, tmp_path: Path) -> None:
    photo = np.full((400, 800, 3), 90, np.uint8)
    for x, side in ((0, 300), (320, 200), (550, 250)):
        photo[50 : 50 + side, x : x + side] = cv2.resize(portrait()[60:360, 80:380], (side, side))
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    page = project.open("index.html")
    found = page.evaluate(
        """async (content) => {
          const { FaceFinder } = await import("./faces.js");
          const { readPicture } = await import("./facemodel.js");
          const photo = await readPicture(await (await fetch(content)).blob());
          return (await (await FaceFinder.load()).find(photo)).map(({ points }) => points);
        }""",
        "data:image/png;base64," + b64encode((tmp_path / "photo.png").read_bytes()).decode(),
    )
    page.close()
    right = [each.landmarks for each in detector("blazeface").find(photo)]
    assert len(found) == len(right) == 3
    for points, marks in zip(found, right, strict=True):
        wanted = np.array([marks.left_eye, marks.right_eye, marks.mouth])
        between_eyes = np.hypot(*(wanted[1] - wanted[0]))
        assert np.abs(np.array(points) - wanted).max() < 0.04 * between_eyes


def test_a_picture_without_a_face_says_so(project: Visitor, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 400, 3), 120, np.uint8))
    page = chosen(project, tmp_path / "wall.png")
    assert page.inner_text("[role=status]").startswith("No face found.")
    page.close()


def test_the_page_answers_for_a_face_whose_eyes_and_mouth_are_clicked(project: Visitor) -> None:
    page = chosen(project, project.folder / "golden" / "photo.png")
    canvas = page.locator("canvas")
    for x, y in ((204.5, 100.6), (247.6, 104.8), (222.1, 149.3)):
        canvas.click(position={"x": x, "y": y})
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('for another face')"
    )
    age = age_on(page)
    page.close()
    assert age == pytest.approx(golden_age(project), abs=2)


def test_without_a_detector_here_the_page_asks_for_clicks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agecompact.integrate.project._detector", lambda _: None)
    model = checkpoints.released_path("ssrnet").with_suffix(".onnx")
    folder = tmp_path / "web"
    write_project(model, golden_of(model), PLATFORMS["web"], folder)
    assert not {"faces.js", "litert.js"} & {each.name for each in folder.iterdir()}
    assert [each.name for each in (folder / "model").iterdir()] == ["ssrnet.onnx"]
    assert set(json.loads((folder / "package.json").read_text())["dependencies"]) == {
        "onnxruntime-web"
    }
    for name in ("page.js", "index.html", "README.md"):
        text = (folder / name).read_text()
        assert "FaceFinder" not in text
        assert "litertjs" not in text


@pytest.mark.parametrize("page", ["index.html", "test.html"])
def test_the_pages_follow_the_colours_of_the_device(project: Visitor, page: str) -> None:
    shown = project.open(page)
    texts = []
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme=scheme)
        texts.append(shown.evaluate("getComputedStyle(document.body).color"))
    assert texts == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    shown.close()
