"""Finds the op where an error originates, from each tensor's error relative to rounding.

An op is to blame if its ratio is well above that of its inputs, its error reaches a reader, and it,
or an op that depends on it, has lost more than kernels lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Five bits more than rounding costs. Kernels that add a thousand values one after the other lose
# four; a batch norm with another framework's epsilon, the subtlest of real faults, loses ten.
_LOST = 32.0
# The ratio already includes the network's own amplification of rounding from op to op. What is left
# is chance: the RMS of a few values may differ by a factor of two.
_JUMP = 4.0
VISIBLE = 8.0
# An error is passed on if a reader has at least this share of its ratio, or has lost more than
# kernels lose: rounding costs a reader more than it costs an input, so the ratio of a wrong input
# falls though its error does not. If no reader has, it was undone: converters move a bias from one
# Linear into the next, and the values between them differ.
_PASSED_ON = 1 / 16


Reads = Mapping[int, Sequence[int]]


def readers_of(reads: Reads) -> dict[int, list[int]]:
    """For each tensor, those that read it."""
    readers: dict[int, list[int]] = {index: [] for index in reads}
    for index, sources in reads.items():
        for source in sources:
            readers[source].append(index)
    return readers


def passed_on(ratios: Mapping[int, float], reads: Reads) -> set[int]:
    """The tensors whose error reaches a reader, or that have no reader.

    Args:
        ratios: The error of each tensor relative to rounding.
        reads: The tensors that each one reads; every tensor comes after those that it reads.
    """
    return {
        index
        for index, after in readers_of(reads).items()
        if not after or any(ratios[i] >= min(ratios[index] * _PASSED_ON, _LOST) for i in after)
    }


def jumps(ratio: float, before: float) -> bool:
    """Whether a tensor's error is visible and well above that of its inputs."""
    return ratio > max(VISIBLE, _JUMP * before)


def find_origin(ratios: Mapping[int, float], reads: Reads) -> int | None:
    """The first tensor whose error jumps and leads to more than kernels lose.

    Args:
        ratios: As in `passed_on`.
        reads: As in `passed_on`.
    """
    effective, readers = passed_on(ratios, reads), readers_of(reads)
    # The greatest error that each tensor's error reaches, its own included.
    reached: dict[int, float] = {}
    for index in reversed(list(reads)):
        own = ratios[index] if index in effective else 0.0
        reached[index] = max([own, *(reached[i] for i in readers[index])])
    starts = [
        index
        for index in reads
        if index in effective
        and reached[index] > _LOST
        and jumps(ratios[index], max((ratios[i] for i in reads[index]), default=0.0))
    ]
    # A jump below what kernels lose may be chance, so one above it is preferred.
    great = (index for index in starts if ratios[index] > _LOST)
    return next(great, next(iter(starts), None))
