"""Holds every artefact of builds to PyTorch, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from agecompact.artifacts.manifest import Build
from agecompact.formats import COMPUTE_UNITS, FORMATS
from parity_tests.plan import Plan
from parity_tests.reference import Reference
from parity_tests.results import Result
from parity_tests.verdict import Candidate, check, not_made


def candidates(build: Build, plan: Plan) -> tuple[Candidate, ...]:
    """Every artefact of a build in every runtime that is to tell of it."""
    left_out = {
        runtime.name for unit, runtime in COMPUTE_UNITS.items() if unit not in plan.compute_units
    }
    return tuple(
        Candidate(build, entry, runtime)
        for entry in build.manifest.artifacts
        for runtime in FORMATS[entry.format].runtimes
        # Of a float32 file the reference runtime's two arithmetics are one.
        if runtime.name not in left_out
        and (runtime.name, entry.precision) != ("mil-float32", "float32")
    )


def check_builds(
    builds: Sequence[Build], plan: Plan, report: Callable[[Result], None] = lambda _: None
) -> tuple[Result, ...]:
    """Checks every artefact of builds against PyTorch.

    Args:
        builds: What to check.
        plan: How.
        report: Told each verdict as it falls, from any thread.

    Returns:
        The verdicts, in the order of the manifests.

    Raises:
        GateError: PyTorch itself gives no usable answer, so there is nothing to hold artefacts to.
        UsageError: An image of the user's cannot be read.
    """

    def judge(candidate: Candidate, reference: Reference) -> Result:
        result = check(candidate, reference, plan)
        report(result)
        return result

    unmade = [result for build in builds for result in not_made(build, plan)]
    for result in unmade:
        report(result)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(plan.jobs, thread_name_prefix="parity"))
        futures = []
        for build in builds:
            reference = stack.enter_context(Reference.of_build(build, plan))
            futures += [pool.submit(judge, each, reference) for each in candidates(build, plan)]
        try:
            return (*unmade, *(future.result() for future in futures))
        finally:
            for future in futures:
                future.cancel()
