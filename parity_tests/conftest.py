"""Fixtures of `pytest parity_tests --build DIR`: the options, and each check run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build, read_builds
from agecompact.errors import AgecompactError
from parity_tests.check import candidates
from parity_tests.reference import Reference
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import load
from parity_tests.verdict import Candidate, check

CheckOf = Callable[[Candidate], Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of the suite."""
    group = parser.getgroup("agecompact")
    group.addoption("--build", type=Path, default=Path("build"), help="Build folder to check.")
    group.addoption("--tolerances", type=Path, help="Your gates, in the form of tolerances.toml.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test per artefact, runtime and property."""
    if "candidate" not in metafunc.fixturenames:
        return
    try:
        builds = read_builds(metafunc.config.getoption("--build"))
    except AgecompactError as error:
        raise pytest.UsageError(str(error)) from None
    found = [each for build in builds for each in candidates(build, CheckSettings())]
    ids = [f"{each.entry.file}-{each.runtime.name}" for each in found]
    metafunc.parametrize("candidate", found, ids=ids, scope="session")


@pytest.fixture(scope="session")
def check_of(request: pytest.FixtureRequest) -> Iterator[CheckOf]:
    """Checks an artefact in a runtime, once for all properties."""
    settings = CheckSettings(tolerances=load(request.config.getoption("--tolerances")))
    references: dict[Path, Reference] = {}
    results: dict[tuple[Path, str], Result] = {}
    with ExitStack() as stack:

        def reference_of(build: Build) -> Reference:
            if build.folder not in references:
                opened = stack.enter_context(Reference.of_build(build, settings))
                references[build.folder] = opened
            return references[build.folder]

        def run(candidate: Candidate) -> Result:
            key = candidate.path, candidate.runtime.name
            if key not in results:
                results[key] = check(candidate, reference_of(candidate.build), settings)
            return results[key]

        yield run


@pytest.fixture
def result(candidate: Candidate, check_of: CheckOf) -> Result:
    """The result for one artefact in one runtime."""
    found = check_of(candidate)
    if found.status == "skipped":
        pytest.skip(f"not run here: {found.label}: {found.reason}")
    return found
