"""Checks every artefact of builds against PyTorch, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from agecompact.artifacts.confined import regular
from agecompact.artifacts.manifest import Build, Entry
from agecompact.errors import AgecompactError, GateError, UsageError
from agecompact.formats import FORMATS, Runtime
from agecompact.runtimes.process import RuntimeProcess
from parity_tests import float64
from parity_tests.comparing import failed
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result, decisive
from parity_tests.settings import CheckSettings
from parity_tests.verdict import Candidate, check, not_made, unchecked_artifact


def candidates(build: Build, settings: CheckSettings) -> tuple[Candidate, ...]:
    """Every artefact of a build in every runtime that should run it."""
    return tuple(
        Candidate(build, entry, runtime)
        for entry in build.manifest.artifacts
        for runtime in FORMATS[entry.format].runtimes
        if _is_wanted(runtime, settings) and _runs(runtime, entry)
    )


def _is_wanted(runtime: Runtime, settings: CheckSettings) -> bool:
    """Whether the settings name a runtime, or leave the choice open and it is a usual one."""
    if settings.runtimes:
        return runtime.name in settings.runtimes
    if runtime.run == "named" or (runtime.run == "everywhere" and not settings.everywhere):
        return False
    return runtime.compute_unit is None or runtime.compute_unit in settings.compute_units


def _runs(runtime: Runtime, entry: Entry) -> bool:
    """Whether an artefact in a runtime says more than it does in another."""
    # No app computes in float64; references are compared with it.
    if runtime is float64.RUNTIME:
        return False
    # For a float32 file the reference runtime's two arithmetics are the same.
    if (runtime.name, entry.precision) == ("mil-float32", "float32"):
        return False
    return not runtime.precisions or entry.precision in runtime.precisions


def check_builds(
    builds: Sequence[Build],
    settings: CheckSettings,
    *,
    started: Callable[[str], None] = lambda _: None,
    finished: Callable[[Result], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Checks every artefact of builds against PyTorch.

    Where a build's weights are unusable, all its artefacts fail, and other builds are checked.

    Args:
        builds: The builds.
        settings: How to check.
        started: Called from any thread with an artefact's name when its check starts.
        finished: Called from any thread with the decisive result of each artefact.

    Returns:
        The results, in the order of the manifests, one for each output of an artefact; failed
        conversions come first.

    Raises:
        UsageError: One of the user's images cannot be read.
        BackendMissingError: PyTorch cannot run here.
    """
    workers = _Workers()

    def run(candidate: Candidate, reference: Reference) -> tuple[Result, ...]:
        started(candidate.name)
        results = check(candidate, reference, settings, workers.add)
        finished(decisive(results))
        return results

    def without_reference(candidate: Candidate, error: AgecompactError) -> tuple[Result, ...]:
        result = unchecked_artifact(candidate.build, candidate.entry, candidate.runtime, settings)
        result = failed(result, Failure("reference", error.summary))
        finished(result)
        return (result,)

    unmade = [result for build in builds for result in not_made(build, settings)]
    for result in unmade:
        finished(result)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(settings.jobs, thread_name_prefix="parity"))
        futures: list[Future[tuple[Result, ...]]] = []
        try:
            for build in builds:
                found = candidates(build, settings)
                reference = Reference.of_build(build, settings)
                try:
                    if found:
                        regular(build.weights)
                        stack.enter_context(reference)
                except (GateError, UsageError) as error:
                    futures += [pool.submit(without_reference, each, error) for each in found]
                else:
                    futures += [pool.submit(run, each, reference) for each in found]
            return (*unmade, *(result for future in futures for result in future.result()))
        except BaseException:
            workers.stop()
            raise
        finally:
            for future in futures:
                future.cancel()


class _Workers:
    """The processes of all checks, so that an interrupt ends them, whatever they are doing."""

    def __init__(self) -> None:
        self._processes: list[RuntimeProcess] = []
        self._stopped = False

    def add(self, process: RuntimeProcess) -> None:
        """Adds a process that has started."""
        self._processes.append(process)
        if self._stopped:
            process.kill()

    def stop(self) -> None:
        """Kills all of them, and those that are added later."""
        self._stopped = True
        for process in self._processes:
            process.kill()
