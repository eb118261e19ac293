"""Compares any two model files that should give the same outputs, whoever made them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agecompact.artifacts.metadata import MetadataError
from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.files import sha256_of
from agecompact.formats import Runtime
from agecompact.runtimes.reading import read_metadata
from agecompact.runtimes.registry import runtime_of
from agecompact.serialization import read_versioned
from parity_tests.reference import Reference, unusable
from parity_tests.results import Failure, Result
from parity_tests.runner import ModelRunner, runtime_failures, runtime_process
from parity_tests.settings import CheckSettings
from parity_tests.verdict import compare, failed, unchecked


def check_pair(
    reference: Path,
    candidate: Path,
    contract: Path | None,
    settings: CheckSettings,
    *,
    runtime: Runtime | None = None,
    precision: str = "float32",
) -> Result:
    """Checks one model file against another.

    Args:
        reference: The correct model.
        candidate: The model to check.
        contract: Contract of both, as JSON. The layout, and the names of a single input and output,
            are taken from the files. None if the files contain contracts themselves.
        settings: How to check.
        runtime: The runtime for the candidate; None for the first one of its format.
        precision: Precision of the candidate's weights, which selects the gates.

    Raises:
        UsageError: A file is missing or of an unknown format, there is no contract, or the
            reference does not open or run.
        BackendMissingError: The reference's runtime is not available on this machine.
        GateError: An output of the reference is NaN or infinite.
    """
    opener = runtime or runtime_of(candidate)
    try:
        theirs = _fitted(reference, runtime_of(reference), _given(reference, contract), settings)
    except Failure as failure:
        raise unusable(reference, failure) from None
    started = time.monotonic()
    result = unchecked(
        candidate,
        opener,
        settings,
        model=reference.name,
        precision=precision,
        unit=theirs.output.unit,
    )
    if candidate.is_file() or candidate.is_dir():
        result = replace(result, sha256=sha256_of(candidate))
    try:
        mine = _fitted(candidate, opener, _given(candidate, contract), settings)
        with (
            Reference(reference, theirs, settings, values=None) as opened,
            runtime_process(candidate, opener, settings) as process,
        ):
            runner = ModelRunner(process, mine, values=None)
            result = replace(result, runtime_version=runner.opened.version)
            result = compare(result, runner, opened, settings)
    except Failure as failure:
        result = failed(result, failure)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _given(path: Path, contract: Path | None) -> Contract:
    """The contract from the user's file or else from the model file."""
    if contract is not None:
        fix = "give a JSON file; agecompact inspect prints the contract of an artefact"
        return read_versioned(contract, Contract, what="contract", fix=fix)
    try:
        return read_metadata(path).contract
    except MetadataError as error:
        raise UsageError(
            f"{path.name} does not contain a contract for its inputs",
            why=error.what,
            fix="give its contract with --contract FILE.json; agecompact inspect prints examples",
        ) from None


def _fitted(path: Path, runtime: Runtime, contract: Contract, settings: CheckSettings) -> Contract:
    """A contract in a file's own layout and, if it has one input or output, its own names."""
    with runtime_failures(), runtime_process(path, runtime, settings) as process:
        interface = process.open().interface
    if not interface.inputs:
        raise Failure("names", "it has no inputs")
    names = list(interface.inputs)
    crops = contract.crops
    if len(names) == len(crops) == 1:
        crops = (replace(crops[0], name=names[0]),)
    output = contract.output
    if len(interface.outputs) == 1:
        output = replace(output, name=next(iter(interface.outputs)))
    shape = next(iter(interface.inputs.values())).shape
    channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    layout: Literal["NHWC", "NCHW"] = "NHWC" if channels_last else "NCHW"
    return replace(contract, crops=crops, output=output, layout=layout)
