"""Builds of a small released network in the formats of every processor, and what is installed.

Without a runtime, its tests are skipped with the reason; `AGECOMPACT_REQUIRE_PROCESSORS=1` makes
them fail instead, for CI.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from agecompact.artifacts import manifest
from agecompact.artifacts.manifest import Build
from agecompact.errors import AgecompactError, BackendMissingError
from agecompact.formats import RUNTIMES, opened_by
from agecompact.runtimes import vulkan
from agecompact.runtimes.launching import launcher_of
from agecompact.runtimes.registry import missing
from agecompact.web import tools
from agecompact.weights import checkpoints
from export import pipeline, targets

MODEL = "c3ae-plain"
_REQUIRED = os.environ.get("AGECOMPACT_REQUIRE_PROCESSORS") == "1"


@pytest.fixture(scope="session")
def needs() -> Callable[[str], None]:
    """Skips a test whose runtime this machine lacks."""

    def check(runtime: str) -> None:
        found = _lacks(runtime)
        if found is None:
            return
        if _REQUIRED:
            pytest.fail(f"{runtime} is required: {found}", pytrace=False)
        pytest.skip(f"no {runtime}: {found.summary}; {found.fix}")

    return check


def _lacks(runtime: str) -> AgecompactError | None:
    entry = RUNTIMES[runtime]
    format_ = opened_by(runtime)
    if (found := missing(entry)) is not None:
        return found
    if format_.module and find_spec(format_.module) is None:
        return BackendMissingError(f"{format_.module} is not installed", fix="see the extras")
    try:
        launcher_of(entry)
        if entry.accelerator == "GPU":
            vulkan.prepare()
        if entry.extra == "web":
            tools.chromium()
            tools.packages()
    except BackendMissingError as error:
        return error
    return None


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The released network in every format that is installed, in float32, and in what each adds."""
    folder = tmp_path_factory.mktemp("processors")
    chosen = targets.select((), ("fp32", "int8", "int16"), everywhere=True)
    # Their float16 is a network of its own. That of ONNX and TFLite has the arithmetic of float32.
    modules = {"coreai": "coreai_torch", "ncnn": "pnnx"}
    installed = [name for name, module in modules.items() if find_spec(module)]
    half = targets.select(installed, ("fp16",)) if installed else ()
    chosen = tuple(dict.fromkeys((*chosen, *half)))
    pipeline.export(pipeline.Request(checkpoints.released_path(MODEL), chosen, folder))
    return manifest.read_builds(folder / MODEL)[0]
