"""Any two model files that should answer alike, whoever made them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agecompact.artifacts.metadata import MetadataError
from agecompact.contract import Contract
from agecompact.errors import UsageError
from agecompact.formats import EXPORTED, Runtime
from agecompact.runtimes.base import Interface
from agecompact.runtimes.process import RuntimeFailure, RuntimeProcess
from agecompact.runtimes.registry import read_metadata, runtime_of
from parity_tests.plan import Plan
from parity_tests.reference import Reference, useless
from parity_tests.results import Failure, Result
from parity_tests.side import Side
from parity_tests.verdict import failed, judge, unjudged


def check_pair(
    reference: Path,
    candidate: Path,
    contract: Path | None,
    plan: Plan,
    *,
    runtime: Runtime | None = None,
    precision: str = "float32",
) -> Result:
    """Holds one model file to another.

    Args:
        reference: What is right.
        candidate: What is held to it.
        contract: Contract of both, as JSON; the layout, and where there is but one input or output
            its name, are taken from the files. None where the files hold contracts of their own.
        plan: How to check.
        runtime: What opens the candidate; the one that users mean by such a file if not given.
        precision: Of the candidate's weights, which chooses the gates.

    Raises:
        UsageError: A file is missing or of no known kind, or nobody says the contract.
        GateError: The reference does not open, or gives no usable answer.
    """
    try:
        theirs = _fitted(reference, runtime_of(reference), _said(reference, contract))
    except Failure as failure:
        raise useless(reference, failure) from None
    opener = runtime or runtime_of(candidate)
    started = time.monotonic()
    result = unjudged(
        candidate,
        opener,
        plan,
        model=reference.name,
        format_=_format(candidate),
        precision=precision,
        unit=theirs.output.unit,
    )
    try:
        mine = _fitted(candidate, opener, _said(candidate, contract))
        with (
            Reference(reference, theirs, plan, values=None) as held_to,
            Side(
                candidate,
                opener,
                mine,
                values=None,
                threads=plan.threads,
                timeout_s=plan.timeout_s,
            ) as side,
        ):
            result = replace(result, runtime_version=side.opened.version)
            result = judge(result, side, held_to, plan)
    except Failure as failure:
        result = failed(result, failure)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _format(path: Path) -> str:
    """As gates name it: of a Core ML package its format is not what its name ends in."""
    known = (each.name for each in EXPORTED.values() if each.suffix == path.suffix)
    return next(known, path.suffix.removeprefix("."))


def _said(path: Path, given: Path | None) -> Contract:
    """The contract that the user gives, or else the file."""
    if given is not None:
        try:
            return Contract.from_json(given.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"no contract in {given}", why=str(error)) from None
    try:
        return read_metadata(path).contract
    except MetadataError as error:
        raise UsageError(
            f"{path.name} does not say what its input must be",
            why=error.what,
            fix="give its contract with --contract FILE.json; agecompact inspect prints examples",
        ) from None


def _fitted(path: Path, runtime: Runtime, said: Contract) -> Contract:
    """A contract in a file's own layout and, where nothing can be confused, its own names."""
    interface = _interface(path, runtime)
    names = list(interface.inputs)
    crops = said.crops
    if len(names) == len(crops) == 1:
        crops = (replace(crops[0], name=names[0]),)
    output = said.output
    if len(interface.outputs) == 1:
        output = replace(output, name=next(iter(interface.outputs)))
    shape = next(iter(interface.inputs.values())).shape
    channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    layout: Literal["NHWC", "NCHW"] = "NHWC" if channels_last else "NCHW"
    return replace(said, crops=crops, output=output, layout=layout)


def _interface(path: Path, runtime: Runtime) -> Interface:
    try:
        with RuntimeProcess(path, runtime) as process:
            return process.open().interface
    except RuntimeFailure as failure:
        raise Failure(failure.kind, failure.reason) from None
