"""Checks one artefact in one runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.numpy import save_file

from agecompact.artifacts.confined import sha256_of
from agecompact.artifacts.manifest import Build, Entry, NotMade
from agecompact.artifacts.provenance import differences
from agecompact.artifacts.texts import texts_of
from agecompact.bench.size import read_parts
from agecompact.contract import Contract, Output
from agecompact.errors import AgecompactError, UsageError
from agecompact.formats import FORMATS, Runtime
from agecompact.isolation import IsolationFailure, call
from agecompact.precisions import PRECISIONS, Precision
from agecompact.runtimes.base import Placement
from agecompact.runtimes.channel import MEMORY_BYTES
from agecompact.runtimes.process import RuntimeProcess
from agecompact.scratch import scratch_folder
from agecompact.serialization import structure
from parity_tests.batching import check_batch
from parity_tests.comparing import compare, failed, gates_of
from parity_tests.interface import check_declared
from parity_tests.reference import Reference
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner, runtime_failures, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.spans import SPANS
from parity_tests.weights import WEIGHTS_FORMAT, WeightFault

# Converters keep some layers exact, and align constants.
_LEAST_SAVING = 0.95
# What weights of fewer bits are compressed from.
_HALF = PRECISIONS["float16"]
# Its files have texts for people, which Xcode shows.
_TEXTS_FORMAT = "coreml"


@dataclass(frozen=True)
class Candidate:
    """An artefact and a runtime that runs it.

    Attributes:
        build: The artefact's build.
        entry: The artefact.
        runtime: The runtime.
    """

    build: Build
    entry: Entry
    runtime: Runtime

    @property
    def path(self) -> Path:
        """The artefact's path."""
        return self.build.path(self.entry)

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of its result."""
        return self.build.manifest.model, self.entry.file, self.runtime.name

    @property
    def name(self) -> str:
        """Artefact and runtime, for people."""
        return f"{self.entry.file} in {self.runtime.label}"


def check(
    candidate: Candidate,
    reference: Reference,
    settings: CheckSettings,
    opened: Callable[[RuntimeProcess], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Checks one artefact in one runtime, up to its first failure.

    Args:
        candidate: The artefact and the runtime.
        reference: What it is compared with.
        settings: How to check.
        opened: Receives the artefact's process when it has started, so that it can be killed.

    Returns:
        One result for each output, or one for all that fails before its outputs are compared.
    """
    started = time.monotonic()
    result = unchecked_artifact(candidate.build, candidate.entry, candidate.runtime, settings)
    try:
        result = replace(result, sha256=_sha256(candidate.path))
        with runtime_process(candidate.path, candidate.runtime, settings) as process:
            opened(process)
            contract = _contract(candidate, process)
            _check_declared(candidate, process, contract)
            _check_size(candidate)
            runner = ModelRunner(process, contract)
            result = replace(result, runtime_version=runner.opened.version)
            _check_placement(candidate.runtime, runner.opened.placement)
            results = compare(result, runner, reference, settings)
            if candidate.entry.batch is None and _pass(results):
                results = check_batch(results, runner, reference)
            if candidate.entry.format == _TEXTS_FORMAT and _pass(results):
                _check_texts(process)
        if _pass(results):
            try:
                _check_weights(candidate, reference, settings)
                if result.sha256 != candidate.entry.sha256:
                    reason = "it is not the file that was built: its sha256 differs"
                    raise Failure("integrity", reason)
            except Failure as failure:
                results = tuple(failed(each, failure) for each in results)
    except Failure as failure:
        results = (failed(result, failure),)
    return timed(results, started)


def _pass(results: Iterable[Result]) -> bool:
    return all(each.status == "passed" for each in results)


def not_made(build: Build, settings: CheckSettings) -> tuple[Result, ...]:
    """A failure for each requested artefact whose conversion failed."""
    return tuple(
        failed(
            unchecked_artifact(build, entry, FORMATS[entry.format].runtimes[0], settings),
            Failure("conversion", entry.reason),
        )
        for entry in build.manifest.not_made
    )


def unchecked_artifact(
    build: Build, entry: Entry | NotMade, runtime: Runtime, settings: CheckSettings
) -> Result:
    """The result for an artefact before any check, with its gates."""
    return unchecked(
        build.folder / entry.file,
        runtime,
        settings,
        model=build.manifest.model,
        precision=entry.precision,
        output=build.manifest.contract.outputs[0],
    )


def unchecked(
    path: Path,
    runtime: Runtime,
    settings: CheckSettings,
    *,
    model: str,
    precision: str,
    output: Output,
) -> Result:
    """The result for a file before any check, with its gates if they are known by then."""
    unit = output.compared_unit
    result = Result(
        model=model,
        artifact=path.name,
        precision=precision,
        runtime=runtime.name,
        label=runtime.label,
        status="passed",
        kind=None,
        reason="",
        unit=unit,
        tolerance=None,
    )
    if unit not in SPANS:
        return result
    return replace(result, tolerance=gates_of(result, SPANS[unit].width, settings))


def timed(results: Iterable[Result], started: float) -> tuple[Result, ...]:
    """Results of a check with its duration, which began at a time of `time.monotonic`."""
    seconds = round(time.monotonic() - started, 3)
    return tuple(replace(result, seconds=seconds) for result in results)


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except UsageError as error:
        raise Failure("load", error.summary) from None


def _contract(candidate: Candidate, process: RuntimeProcess) -> Contract:
    """The artefact's own contract, which a phone would use."""
    with runtime_failures():
        described = process.metadata()
    if found := differences(described, candidate.build.manifest, candidate.entry):
        raise Failure("metadata", "; ".join(found))
    return described.contract


def _check_texts(process: RuntimeProcess) -> None:
    """Rejects a package that says one thing to people and another to programs.

    It may leave out what its inputs and outputs are, but not the terms of its weights.
    """
    with runtime_failures():
        texts, shown = texts_of(process.metadata()), process.describe()
    if shown["licence"] != texts.licence:
        raise Failure("metadata", f"its licence is '{shown['licence']}', not '{texts.licence}'")
    for side, wanted in (("inputs", texts.inputs), ("outputs", texts.outputs)):
        for name, found in shown[side].items():
            if found["description"] not in ("", wanted[name]):
                said = f"'{found['description']}', not '{wanted[name]}'"
                raise Failure("metadata", f"its text for '{name}' is {said}")


def _check_declared(candidate: Candidate, process: RuntimeProcess, contract: Contract) -> None:
    """Rejects a file that an app cannot bind to as the contract and the manifest say."""
    entry = candidate.entry
    with runtime_failures():
        declared = process.declared()
    # Some exporters fall back silently.
    if declared.opset != entry.opset:
        versions = f"{declared.opset}, {entry.opset} was requested"
        raise Failure("conversion", f"the version of its ops is {versions}")
    check_declared(declared, contract, entry.batch)


def _check_placement(runtime: Runtime, placement: Placement | None) -> None:
    """Rejects a file of which an accelerator leaves ops to the CPU."""
    if not runtime.accelerator:
        return
    if placement is None:
        raise Failure("fallback", "the runtime does not say where its ops run")
    if placement.fallback_ops:
        ops = ", ".join(f"{count} {name}" for name, count in placement.fallback_ops.items())
        raise Failure("fallback", f"the {runtime.accelerator} leaves ops to the CPU: {ops}")
    if not placement.partitions:
        raise Failure("fallback", f"the {runtime.accelerator} runs no op of it")


def _check_size(candidate: Candidate) -> None:
    """Rejects weights that were not made smaller: some converters skip what they do not know."""
    full = PRECISIONS[FORMATS[candidate.entry.format].precisions[0]]
    wanted = PRECISIONS[candidate.entry.precision]
    if wanted == full:
        return
    try:
        parts = read_parts(candidate.path)
    except AgecompactError as error:
        raise Failure("load", error.summary) from None
    if parts.with_graph:
        _check_smaller(candidate, full)
        return
    bits = parts.weights * 8 / candidate.build.manifest.folded_parameters
    larger = _HALF if wanted.stored_bits < _HALF.stored_bits else full
    if bits > _LEAST_SAVING * larger.stored_bits:
        reason = f"its weights take {bits:.0f} bits a parameter, {wanted.name} was requested"
        raise Failure("conversion", reason)


def _check_smaller(candidate: Candidate, full: Precision) -> None:
    """Rejects a file that is hardly smaller than the one in full precision, if there is one."""
    for other in candidate.build.manifest.artifacts:
        if (other.format, other.precision) == (candidate.entry.format, full.name):
            share = candidate.entry.bytes / other.bytes
            if share > _LEAST_SAVING:
                wanted = candidate.entry.precision
                reason = f"it has {share:.0%} of the bytes of {other.file}, {wanted} was requested"
                raise Failure("conversion", reason)


def _check_weights(candidate: Candidate, reference: Reference, settings: CheckSettings) -> None:
    """Rejects wrong weights that the outputs do not show, such as a flipped bit."""
    if candidate.entry.format != WEIGHTS_FORMAT:
        return
    try:
        faults = _weight_faults(candidate, reference, settings)
    except (AgecompactError, IsolationFailure) as error:
        raise Failure("weights", f"its weights cannot be compared: {error}") from None
    if faults:
        first = faults[0]
        where = f"{first.op}.{first.parameter}: " if first.op else ""
        raise Failure("weights", f"{where}{first.reason}; {len(faults)} such faults")


def _weight_faults(
    candidate: Candidate, reference: Reference, settings: CheckSettings
) -> tuple[WeightFault, ...]:
    """Compares with the network and, in a reduced precision, with the full-precision package."""
    build, entry = candidate.build, candidate.entry
    precision = FORMATS[WEIGHTS_FORMAT].precisions[0]
    full = next(
        (
            build.path(other)
            for other in build.manifest.artifacts
            if (other.format, other.precision) == (WEIGHTS_FORMAT, precision)
            and entry.precision != precision
        ),
        None,
    )
    with scratch_folder() as folder:
        given = folder / "given.safetensors"
        save_file(dict(reference.parameters), given)
        found = call(
            "parity_tests.weights:faults_of",
            candidate.path,
            given,
            full,
            seconds=settings.timeout_s,
            memory_bytes=MEMORY_BYTES,
        )
    return structure(found, tuple[WeightFault, ...], where="the comparison of the weights")
