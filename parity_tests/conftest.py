"""Fixtures of `python -m parity_tests --build DIR`: the options, and each check run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build, read_builds
from agecompact.errors import AgecompactError
from parity_tests.check import candidates
from parity_tests.reference import Reference
from parity_tests.results import Result, decisive
from parity_tests.settings import CheckSettings
from parity_tests.tolerances import load
from parity_tests.verdict import Candidate, check

ReferenceOf = Callable[[Build], Reference]


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
def settings(request: pytest.FixtureRequest) -> CheckSettings:
    """How to check."""
    return CheckSettings(tolerances=load(request.config.getoption("--tolerances")))


@pytest.fixture(scope="session")
def reference_of(settings: CheckSettings) -> Iterator[ReferenceOf]:
    """Opens the reference of a build, once for all artefacts."""
    opened: dict[Path, Reference] = {}
    with ExitStack() as stack:

        def reference(build: Build) -> Reference:
            if build.folder not in opened:
                opened[build.folder] = stack.enter_context(Reference.of_build(build, settings))
            return opened[build.folder]

        yield reference


@pytest.fixture(scope="session")
def result(candidate: Candidate, reference_of: ReferenceOf, settings: CheckSettings) -> Result:
    """The result for one artefact in one runtime, which all of its tests share."""
    found = decisive(check(candidate, reference_of(candidate.build), settings))
    if found.status == "skipped":
        pytest.skip(f"{found.label}: {found.reason}")
    return found
