"""What `pytest parity_tests --build DIR` needs: the option, and each verdict taken once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agecompact.artifacts.manifest import Build, read_builds
from agecompact.errors import AgecompactError
from parity_tests.check import candidates
from parity_tests.plan import Plan
from parity_tests.reference import Reference
from parity_tests.results import Result
from parity_tests.tolerances import load
from parity_tests.verdict import Candidate, check

Judge = Callable[[Candidate], Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of the suite."""
    group = parser.getgroup("agecompact")
    group.addoption("--build", type=Path, default=Path("build"), help="Build folder to hold.")
    group.addoption("--tolerances", type=Path, help="Gates, as in tolerances.toml.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test an artefact, a runtime and a property."""
    if "candidate" not in metafunc.fixturenames:
        return
    try:
        builds = read_builds(metafunc.config.getoption("--build"))
    except AgecompactError as error:
        raise pytest.UsageError(str(error)) from None
    found = [each for build in builds for each in candidates(build, Plan())]
    ids = [f"{each.entry.file}-{each.runtime.name}" for each in found]
    metafunc.parametrize("candidate", found, ids=ids, scope="session")


@pytest.fixture(scope="session")
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """The verdict on an artefact in a runtime, whichever property asks first."""
    plan = Plan(tolerances=load(request.config.getoption("--tolerances")))
    references: dict[Path, Reference] = {}
    known: dict[tuple[Path, str], Result] = {}
    with ExitStack() as stack:

        def reference_of(build: Build) -> Reference:
            if build.folder not in references:
                made = stack.enter_context(Reference.of_build(build, plan))
                references[build.folder] = made
            return references[build.folder]

        def take(candidate: Candidate) -> Result:
            key = candidate.path, candidate.runtime.name
            if key not in known:
                known[key] = check(candidate, reference_of(candidate.build), plan)
            return known[key]

        yield take


@pytest.fixture
def result(candidate: Candidate, judge: Judge) -> Result:
    """The verdict on one artefact in one runtime."""
    found = judge(candidate)
    if found.status == "skipped":
        pytest.skip(f"not run here: {found.label}: {found.reason}")
    return found
