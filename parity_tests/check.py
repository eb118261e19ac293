"""Checks every artefact of builds against PyTorch, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from agecompact.artifacts.manifest import Build
from agecompact.formats import COMPUTE_UNITS, FORMATS
from parity_tests.reference import Reference
from parity_tests.results import Result
from parity_tests.settings import CheckSettings
from parity_tests.verdict import Candidate, check, not_made


def candidates(build: Build, settings: CheckSettings) -> tuple[Candidate, ...]:
    """Every artefact of a build in every runtime that should run it."""
    excluded = {
        runtime.name
        for unit, runtime in COMPUTE_UNITS.items()
        if unit not in settings.compute_units
    }
    return tuple(
        Candidate(build, entry, runtime)
        for entry in build.manifest.artifacts
        for runtime in FORMATS[entry.format].runtimes
        # For a float32 file the reference runtime's two arithmetics are the same.
        if runtime.name not in excluded
        and (runtime.name, entry.precision) != ("mil-float32", "float32")
    )


def check_builds(
    builds: Sequence[Build],
    settings: CheckSettings,
    *,
    started: Callable[[str], None] = lambda _: None,
    finished: Callable[[Result], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Checks every artefact of builds against PyTorch.

    Args:
        builds: The builds.
        settings: How to check.
        started: Called from any thread with an artefact's name when its check starts.
        finished: Called from any thread with each result.

    Returns:
        The results, in the order of the manifests; failed conversions come first.

    Raises:
        GateError: PyTorch's own outputs are unusable, so there is nothing to compare with.
        UsageError: One of the user's images cannot be read.
    """

    def run(candidate: Candidate, reference: Reference) -> Result:
        started(candidate.name)
        result = check(candidate, reference, settings)
        finished(result)
        return result

    unmade = [result for build in builds for result in not_made(build, settings)]
    for result in unmade:
        finished(result)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(settings.jobs, thread_name_prefix="parity"))
        futures: list[Future[Result]] = []
        try:
            for build in builds:
                if found := candidates(build, settings):
                    reference = stack.enter_context(Reference.of_build(build, settings))
                    futures += [pool.submit(run, each, reference) for each in found]
            return (*unmade, *(future.result() for future in futures))
        finally:
            for future in futures:
                future.cancel()
