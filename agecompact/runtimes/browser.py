"""LiteRT.js and ONNX Runtime Web in a headless Chromium, on its CPU (wasm) and its GPU (WebGPU).

Without a GPU, WebGPU computes on SwiftShader, a GPU in software that Chromium brings.
"""

from __future__ import annotations

import atexit
import base64
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agecompact.errors import AgecompactError, UsageError, first_line
from agecompact.imports import import_extra
from agecompact.runtimes.base import (
    Array,
    Arrays,
    Backend,
    Declared,
    Interface,
    Port,
    Session,
    Trace,
)
from agecompact.runtimes.litert import BACKEND as LITERT
from agecompact.runtimes.onnxruntime import BACKEND as ONNXRUNTIME
from agecompact.scratch import scratch_folder
from agecompact.web import tools
from agecompact.web.serving import serving

Accelerator = Literal["wasm", "webgpu"]
_PAGE = "browser.html"
# For WebGPU where there is no GPU.
_FLAGS = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
)
_TIMEOUT_MS = 120_000


class _Session(Session):
    """A page that has loaded a file."""

    def __init__(self, page: Any, library: str, accelerator: Accelerator, threads: int) -> None:
        self._page = page
        found = page.evaluate(
            "([library, accelerator, threads]) => load(library, accelerator, threads)",
            [library, accelerator, threads],
        )
        self._interface = Interface(_ports(found["inputs"]), _ports(found["outputs"]))

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        return _decoded(self._page.evaluate("inputs => infer(inputs)", _encoded(inputs)))

    def prepare(self, inputs: Arrays) -> Callable[[], object]:
        self._page.evaluate("inputs => prepare(inputs)", _encoded(inputs))
        return partial(self._page.evaluate, "time(1)")

    def trace(self, inputs: Arrays) -> Trace:  # noqa: ARG002 - not supported.
        raise UsageError("a browser does not say what each op wrote")

    def interface(self) -> Interface:
        return self._interface

    def times_ms(self, run: Callable[[], object], runs: int) -> list[float]:  # noqa: ARG002
        # By the page's own clock: a call from outside takes longer than a run.
        made: list[float] = self._page.evaluate("runs => time(runs)", runs)
        return made

    def library_bytes(self) -> int | None:
        return int(self._page.evaluate("libraryBytes()"))


def _ports(described: Mapping[str, Any]) -> dict[str, Port]:
    return {
        name: Port(
            tuple(side if isinstance(side, int) and side > 0 else None for side in each["shape"]),
            str(each["kind"]),
        )
        for name, each in described.items()
    }


def _encoded(arrays: Arrays) -> dict[str, Any]:
    return {
        name: {
            "kind": array.dtype.name,
            "shape": list(array.shape),
            "content": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def _decoded(arrays: Mapping[str, Any]) -> dict[str, Array]:
    return {
        name: np.frombuffer(base64.b64decode(each["content"]), each["kind"]).reshape(each["shape"])
        for name, each in arrays.items()
    }


@dataclass(frozen=True)
class Browser(Backend):
    """A library in a browser; what a file states is read without the browser.

    Attributes:
        library: Its key in the page.
        package: Its package of npm.
        accelerator: What it computes on.
        reader: Reads its files.
    """

    library: str
    package: str
    accelerator: Accelerator
    reader: Backend

    def read_metadata(self, path: str) -> str | None:
        return self.reader.read_metadata(path)

    def describe(self, path: str) -> dict[str, Any]:
        return self.reader.describe(path)

    def declared(self, path: str) -> Declared:
        return self.reader.declared(path)

    def open_session(self, path: str, threads: int) -> Session:
        page = _page(Path(path), gpu=self.accelerator == "webgpu")
        try:
            return _Session(page, self.library, self.accelerator, threads)
        except AgecompactError:
            raise
        except Exception as error:  # Playwright's, around whatever the page threw.
            raise UsageError(
                f"{self.package} does not load {path} in the browser", why=first_line(error)
            ) from None

    def version(self) -> str:
        manifest = tools.packages() / self.package / "package.json"
        return f"{self.package} {tools.version_of(manifest)}, {self.accelerator}"


def _page(path: Path, *, gpu: bool) -> Any:
    """A page of its own browser, which ends with this process, with a file at `/model`."""
    playwright = import_extra("playwright.sync_api", "web")
    chromium, packages = tools.chromium(), tools.packages()
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(scratch_folder())
    shutil.copyfile(path, folder / "model")
    with as_file(files("agecompact.runtimes") / _PAGE) as page:
        shutil.copyfile(page, folder / "index.html")
    (folder / "node_modules").symlink_to(packages)
    address = stack.enter_context(serving(folder))
    running = stack.enter_context(playwright.sync_playwright())
    browser = running.chromium.launch(
        executable_path=str(chromium), args=list(_FLAGS) if gpu else []
    )
    stack.callback(browser.close)
    opened = browser.new_page()
    opened.set_default_timeout(_TIMEOUT_MS)
    opened.goto(address)
    opened.wait_for_function("window.ready")
    return opened


ONNX_WASM = Browser("onnxruntime", "onnxruntime-web", "wasm", ONNXRUNTIME)
ONNX_WEBGPU = Browser("onnxruntime", "onnxruntime-web", "webgpu", ONNXRUNTIME)
LITERT_WASM = Browser("litert", "@litertjs/core", "wasm", LITERT)
LITERT_WEBGPU = Browser("litert", "@litertjs/core", "webgpu", LITERT)
