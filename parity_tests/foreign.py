"""Compares any two model files that should give the same outputs, whoever made them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.formats import Runtime
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import runtime_of
from agecompact.serialization import read_versioned
from parity_tests.batching import ROWS, check_batch
from parity_tests.comparing import compare, failed
from parity_tests.contracts import contradictions, crop_differences
from parity_tests.fitting import check_comparable, fitted, paired
from parity_tests.reference import Reference, unusable
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner, runtime_failures, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.verdict import timed, unchecked


@dataclass(frozen=True)
class Side:
    """One of the two files.

    Attributes:
        path: The model file.
        contract: Its contract, as JSON. The layout, the dtype and the quantisation, and names that
            only one input or output can have, are taken from the model file. None if the model file
            contains a contract.
        runtime: The runtime that runs it; None for the first one of its format.
    """

    path: Path
    contract: Path | None = None
    runtime: Runtime | None = None

    @property
    def opener(self) -> Runtime:
        """The runtime that runs it.

        Raises:
            UsageError: The file is missing or of an unknown format.
        """
        return self.runtime or runtime_of(self.path)


@dataclass(frozen=True)
class _Contracts:
    """The contract of a file, as it was given, and as the file runs by it."""

    given: Contract
    fitted: Contract


def check_pair(
    reference: Side,
    candidate: Side,
    settings: CheckSettings,
    *,
    precision: str = "float32",
    noted: Callable[[str], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Checks one model file against another.

    Args:
        reference: The correct model, which runs in the first runtime of its format.
        candidate: The model to check.
        settings: How to check.
        precision: Precision of the candidate's weights, which selects the gates.
        noted: Receives what was decided without being asked, and what contradicts the files, a
            sentence each.

    Returns:
        One result for each output, or one for all that fails before its outputs are compared.

    Raises:
        UsageError: A file is missing or of an unknown format, a contract is missing or cannot be
            read, or the reference does not open or run.
        BackendMissingError: The reference's runtime is not available on this machine.
        GateError: An output of the reference is NaN or infinite, or too far from float64.
    """
    opener = candidate.opener
    try:
        with runtime_process(reference.path, reference.opener, settings) as process:
            theirs = _contracts(reference, process, noted)
    except Failure as failure:
        raise unusable(reference.path, failure) from None
    started = time.monotonic()
    result = unchecked(
        candidate.path,
        opener,
        settings,
        model=reference.path.name,
        precision=precision,
        output=theirs.fitted.outputs[0],
    )
    if candidate.path.is_file() or candidate.path.is_dir():
        result = replace(result, sha256=sha256_of(candidate.path))
    try:
        with runtime_process(candidate.path, opener, settings) as process:
            mine = _compared(theirs, _contracts(candidate, process, noted), candidate, noted)
            name = reference.path.name
            with Reference(reference.path, theirs.fitted, settings, model=name) as opened:
                runner = ModelRunner(process, mine)
                result = replace(result, runtime_version=runner.opened.version)
                results = compare(result, runner, opened, settings)
                if runner.takes_any_batch and all(r.status == "passed" for r in results):
                    results = _in_batches(results, runner, opened, candidate, noted)
    except Failure as failure:
        results = (failed(result, failure),)
    return timed(results, started)


def _in_batches(
    results: tuple[Result, ...],
    runner: ModelRunner,
    reference: Reference,
    candidate: Side,
    noted: Callable[[str], None],
) -> tuple[Result, ...]:
    """The results, once several images were run in one call.

    Many files leave the batch open that their graph fixes: they are right for one image.
    """
    try:
        return check_batch(results, runner, reference)
    except Failure as failure:
        noted(
            f"warning: {candidate.path.name} declares that a call may have any number of images, "
            f"but fails with {ROWS}: {failure.reason}"
        )
        return results


def _contracts(side: Side, process: RuntimeProcess, noted: Callable[[str], None]) -> _Contracts:
    """The contract of a file: the user's, or else the one that it contains."""
    name = side.path.name
    given = _from_user(side)
    own = _own(side, process, needed=given is None)
    if given and own and (found := contradictions(own, given)):
        noted(
            f"warning: the contract given for {name} contradicts the one in it, and counts: "
            f"{'; '.join(found)}"
        )
    contract = given or own
    assert contract is not None
    with runtime_failures():
        interface = process.open().interface
    made = fitted(contract, interface)
    for note in made.notes:
        noted(f"{name}: {note}")
    return _Contracts(contract, made.contract)


def _from_user(side: Side) -> Contract | None:
    if side.contract is None:
        return None
    fix = "give a JSON file; agecompact inspect prints the contract of an artefact"
    return read_versioned(side.contract, Contract, what="contract", fix=fix)


def _own(side: Side, process: RuntimeProcess, *, needed: bool) -> Contract | None:
    """The contract in a file; None if it has none and needs none."""
    try:
        return process.metadata().contract
    except RuntimeFailure as failure:
        if failure.kind != "metadata":
            raise Failure(failure.kind, failure.reason) from None
        if not needed:
            return None
        raise UsageError(
            f"{side.path.name} does not contain a contract for its inputs",
            why=failure.reason,
            fix="give the contract of both with --contract FILE.json, or of each with "
            "--reference-contract and --candidate-contract; agecompact inspect prints examples",
        ) from None


def _compared(
    theirs: _Contracts, mine: _Contracts, candidate: Side, noted: Callable[[str], None]
) -> Contract:
    """The candidate's contract, its outputs in the order of the reference's."""
    places = paired(theirs.given, mine.given)
    contract = replace(mine.fitted, outputs=tuple(mine.fitted.outputs[i] for i in places))
    check_comparable(theirs.fitted, contract)
    if found := crop_differences(theirs.given, mine.given):
        noted(
            f"warning: {candidate.path.name} gets the crops of the reference; by its contract, "
            f"{'; '.join(found)}"
        )
    return contract
