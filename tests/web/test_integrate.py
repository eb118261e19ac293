"""Projects for browsers, in one: their golden test passes as it is, and fails with each mistake."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agecompact.integrate.answers import golden_of
from agecompact.integrate.platforms import PLATFORMS
from agecompact.integrate.project import write_project
from agecompact.weights import checkpoints
from tests.support import BuildOf

pytestmark = pytest.mark.slow

_TIMEOUT_MS = 60_000
# Years, from PyTorch: rounding in float32.
_SAME = 1e-3
_ENDED = "document.querySelector('[role=status]').textContent !== 'Running'"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Visitor:
    """Serves a project, and opens its golden test."""

    def __init__(self, browser: Any, folder: Path, node_modules: Path) -> None:
        self._browser = browser
        self.folder = folder
        (folder / "node_modules").symlink_to(node_modules)
        handler = functools.partial(_Quiet, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def open(self, page: str) -> Any:
        opened = self._browser.new_page()
        opened.goto(f"http://127.0.0.1:{self.server.server_port}/{page}")
        return opened

    def result(self) -> tuple[str, list[str]]:
        """The verdict, and the lines of the test."""
        page = self.open("test.html")
        page.wait_for_function(_ENDED, timeout=_TIMEOUT_MS)
        found = page.inner_text("[role=status]"), page.locator("li").all_inner_texts()
        page.close()
        return found


def visitor(browser: Any, model: Path, folder: Path, node_modules: Path) -> Iterator[Visitor]:
    write_project(model, golden_of(model), PLATFORMS["web"], folder)
    made = Visitor(browser, folder, node_modules)
    yield made
    made.server.shutdown()
    made.server.server_close()


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


def test_the_page_answers_for_a_face_whose_eyes_and_mouth_are_clicked(project: Visitor) -> None:
    page = project.open("index.html")
    # A picture that is chosen before the model is there would be lost.
    page.wait_for_selector("input:enabled")
    page.set_input_files("input", project.folder / "golden" / "photo.png")
    canvas = page.locator("canvas")
    canvas.wait_for(state="visible")
    for x, y in ((204.5, 100.6), (247.6, 104.8), (222.1, 149.3)):
        canvas.click(position={"x": x, "y": y})
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('age ')")
    golden = json.loads((project.folder / "golden" / "golden.json").read_text())
    (right,) = golden["images"][0]["answers"]["age"]
    age = float(page.inner_text("[role=status]").split()[1].rstrip("."))
    page.close()
    assert age == pytest.approx(right, abs=2)
