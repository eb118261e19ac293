"""What the counting plugin writes: instructions by class, a line for each stretch of the run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from android_bench.native.failure import RunnerFailure, last_lines

HEADER = "agecompact-counts 1"
END = "end"

# LiteRT's own bookkeeping goes through a cycle: on a model of three inputs one inference takes a
# branch more or less than the next, of 17 million instructions, and every eighth the same again.
_MOST_SPREAD = 1e-6
_LINE = re.compile(r"(init|inference)((?: [0-9]{1,19}){7})")


@dataclass(frozen=True)
class InstructionCounts:
    """ARM instructions of one stretch; every instruction is in exactly one class.

    Attributes:
        load: Reads of memory, SIMD loads and atomic read-modify-writes among them.
        store: Writes of memory.
        multiply_accumulate: On SIMD and FP registers.
        simd: Other work on SIMD and FP registers.
        branch: Taken or not.
        other: Integer arithmetic, prefetches, system instructions.
        macs: Scalar multiply-accumulates that the `multiply_accumulate` instructions did; more than
            the network's where kernels pad.
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
class Counted:
    """All stretches of one process.

    Attributes:
        init: From an environment of LiteRT's to tensors that are bound; libraries were loaded.
        inferences: Each inference, the first one first.
    """

    init: InstructionCounts
    inferences: tuple[InstructionCounts, ...]


def parse(text: str) -> Counted:
    """Reads the plugin's file.

    Raises:
        RunnerFailure: It was cut off, or is not one of the plugin's.
    """
    lines = text.splitlines()
    if not lines or lines[-1] != END or not text.endswith("\n"):
        raise RunnerFailure("truncated", f"the counts have no end: {last_lines(text)}")
    if lines[0] != HEADER:
        raise RunnerFailure("malformed", f"the counts begin with '{lines[0][:80]}'")
    stretches = [_stretch(line) for line in lines[1:-1]]
    if [kind for kind, _ in stretches] != ["init"] + ["inference"] * (len(stretches) - 1):
        raise RunnerFailure("malformed", "the counts are not of one init and its inferences")
    if len(stretches) < 2:
        raise RunnerFailure("malformed", "the counts are of no inference")
    return Counted(stretches[0][1], tuple(counts for _, counts in stretches[1:]))


def _stretch(line: str) -> tuple[str, InstructionCounts]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise RunnerFailure("malformed", f"'{line[:80]}' are no counts")
    return match[1], InstructionCounts(*map(int, match[2].split()))


def steady(counted: Counted, skip: int, runs: int) -> InstructionCounts:
    """The count of an inference in the steady state.

    It is that of one certain inference, so that every process gives the same to the instruction.

    Args:
        counted: What was counted.
        skip: Inferences before it: the first one and the warm-up.
        runs: How many there are that must agree.

    Raises:
        RunnerFailure: They do not, or there are fewer.
    """
    of_interest: Sequence[InstructionCounts] = counted.inferences[skip : skip + runs]
    if len(of_interest) < runs:
        raise RunnerFailure("truncated", f"{len(of_interest)} of {runs} inferences were counted")
    totals = [counts.total for counts in of_interest]
    if max(totals) - min(totals) > _MOST_SPREAD * min(totals):
        told = ", ".join(f"{total:,}" for total in totals)
        raise RunnerFailure("unsteady", f"inferences of one input took {told} instructions")
    return of_interest[0]
