"""Parses the counting plugin's file: instructions by class, one line for each phase of the run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from android_bench.failure import MeasurementFailure, last_lines

HEADER = "agecompact-counts 1"
END = "end"

# LiteRT's own bookkeeping varies in a cycle: on a model of three inputs an inference takes one
# branch more or less than the next, of 17 million instructions, and repeats every eighth.
_MAX_SPREAD = 1e-6
_LINE = re.compile(r"(init|inference)((?: [0-9]{1,19}){7})")


@dataclass(frozen=True)
class InstructionCounts:
    """ARM instructions of one phase; every instruction is in exactly one class.

    Attributes:
        load: Reads of memory, SIMD loads and atomic read-modify-writes included.
        store: Writes to memory.
        multiply_accumulate: On SIMD and FP registers.
        simd: Other work on SIMD and FP registers.
        branch: Taken or not.
        other: Integer arithmetic, prefetches, system instructions.
        macs: Scalar multiply-accumulates that the `multiply_accumulate` instructions did; more than
            the network has where kernels pad.
    """

    load: int
    store: int
    multiply_accumulate: int
    simd: int
    branch: int
    other: int
    macs: int

    @property
    def total(self) -> int:
        """All instructions."""
        return (
            self.load + self.store + self.multiply_accumulate + self.simd + self.branch + self.other
        )


@dataclass(frozen=True)
class ProcessCounts:
    """All phases of one process.

    Attributes:
        init: From creating LiteRT's environment to binding tensors; libraries are loaded before.
        inferences: Every inference, in order.
    """

    init: InstructionCounts
    inferences: tuple[InstructionCounts, ...]


def parse(text: str) -> ProcessCounts:
    """Parses the plugin's file.

    Raises:
        MeasurementFailure: It is truncated or malformed.
    """
    lines = text.splitlines()
    if not lines or lines[-1] != END or not text.endswith("\n"):
        raise MeasurementFailure("truncated", f"the counts have no '{END}': {last_lines(text)}")
    if lines[0] != HEADER:
        raise MeasurementFailure("malformed", f"the counts begin with '{lines[0][:80]}'")
    phases = [_phase(line) for line in lines[1:-1]]
    if [name for name, _ in phases] != ["init"] + ["inference"] * (len(phases) - 1):
        raise MeasurementFailure("malformed", "the counts are not one init and its inferences")
    if len(phases) < 2:
        raise MeasurementFailure("malformed", "the counts hold no inference")
    return ProcessCounts(phases[0][1], tuple(counts for _, counts in phases[1:]))


def _phase(line: str) -> tuple[str, InstructionCounts]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise MeasurementFailure("malformed", f"'{line[:80]}' is not a line of counts")
    return match[1], InstructionCounts(*map(int, match[2].split()))


def steady(counts: ProcessCounts, skip: int, runs: int) -> InstructionCounts:
    """The count of one inference in the steady state.

    It is always the first of those that must agree, so that all processes give the same count.

    Args:
        counts: All phases of a process.
        skip: Inferences before the steady state: the first one and the warm-up.
        runs: Inferences that must agree.

    Raises:
        MeasurementFailure: They differ, or there are fewer.
    """
    inferences = counts.inferences[skip : skip + runs]
    if len(inferences) < runs:
        raise MeasurementFailure("truncated", f"{len(inferences)} of {runs} inferences counted")
    totals = [inference.total for inference in inferences]
    if max(totals) - min(totals) > _MAX_SPREAD * min(totals):
        listed = ", ".join(f"{total:,}" for total in totals)
        raise MeasurementFailure("unsteady", f"inferences of one input took {listed} instructions")
    return inferences[0]
