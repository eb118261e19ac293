"""Latency in a browser on this machine, as a ratio to the float32 TFLite file on its CPU."""

from __future__ import annotations

from agecompact.artifacts.manifest import Build
from agecompact.bench import host
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import measured_files
from agecompact.bench.record import Record
from agecompact.formats import FORMATS
from agecompact.web import tools

_EXTRA = "web"


def available(place: str | None) -> str:  # noqa: ARG001 - there is one browser.
    """The browser, and what it loads.

    Raises:
        BackendMissingError: No browser is installed, or npm does not give the packages.
    """
    return f"{tools.chromium()}, with {tools.packages()}"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures every artefact that a browser runs, in each of its runtimes.

    Args:
        build: The build.
        settings: Threads, batch sizes and rounds.
        report: Receives each artefact's name once it is loaded.

    Returns:
        A record for each file and runtime.
    """
    files = [
        (file, runtime)
        for file in measured_files(build)
        for runtime in FORMATS[file.format].runtimes
        # WebGPU without a GPU says nothing about one: SwiftShader is a hundred times slower.
        if runtime.extra == _EXTRA and not runtime.slow
    ]
    return host.measure(build, files, settings, report)
